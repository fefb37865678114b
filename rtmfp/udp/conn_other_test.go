//go:build !linux && !windows

package udp

import "syscall"

const icmpError = syscall.ECONNREFUSED
