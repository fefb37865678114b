//go:build unix

package main

import "golang.org/x/sys/unix"

// openFiles is how many files this process may have open; 0: not known.
func openFiles() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(uint64(l.Cur), 1<<30)) //nolint:unconvert // its type differs between systems
}
