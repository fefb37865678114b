//go:build !linux

package main

func openFiles() uint64  { return 0 }
func clockIsRight() bool { return true }
