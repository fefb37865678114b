package main

import "golang.org/x/sys/unix"

// clockIsRight tells whether something keeps the clock synchronised; yes if that
// cannot be told.
func clockIsRight() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err != nil || state != unix.TIME_ERROR
}
