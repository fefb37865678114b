//go:build !windows

package udp

import (
	"errors"
	"syscall"
)

// fromICMP reports whether a read failed for what became of an earlier datagram, which says nothing
// about the socket.
func fromICMP(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
		syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EPROTO, syscall.ENOPROTOOPT, syscall.EMSGSIZE,
		syscall.EACCES, syscall.EPERM:
		return true
	}
	return false
}

func inUse(err error) error { return err }
