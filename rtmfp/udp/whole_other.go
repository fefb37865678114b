//go:build !linux && !darwin && !freebsd && !windows

package udp

import "errors"

const (
	fragmentNever   = 1
	fragmentAlways  = 0
	fragmentAsUsual = 0
)

// setFragmentationOf: these systems have no such option of IPv4.
func setFragmentationOf(uintptr, int) (err4, err6 error) {
	return errors.ErrUnsupported, errors.ErrUnsupported
}
