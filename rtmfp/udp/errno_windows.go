package udp

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/windows"
)

// fromICMP reports whether a read failed for what became of an earlier datagram, or for one that was
// longer than the buffer: neither says anything about the socket.
func fromICMP(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAENETRESET) ||
		errors.Is(err, windows.WSAEMSGSIZE)
}

// inUse makes a busy port recognisable: on Windows syscall.EADDRINUSE is not what the system returns.
func inUse(err error) error {
	if errors.Is(err, windows.WSAEADDRINUSE) {
		return fmt.Errorf("%w: %w", syscall.EADDRINUSE, err)
	}
	return err
}
