//go:build !linux && !windows

package udp

import "syscall"

const errICMP = syscall.ECONNREFUSED
