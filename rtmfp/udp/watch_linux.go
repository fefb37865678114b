package udp

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watchSystem returns when ctx ends, or when the kernel does not tell, or no longer.
func watchSystem(ctx context.Context, changed func()) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return
	}
	news := os.NewFile(uintptr(fd), "netlink")
	defer news.Close()
	// What is said meanwhile waits in the socket.
	if unix.Bind(fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR,
	}) != nil {
		return
	}
	raw, err := news.SyscallConn()
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = news.Close() })
	defer stop()
	for {
		changed()
		var broken error
		if err := raw.Read(func(fd uintptr) bool {
			var heard bool
			heard, broken = hear(int(fd))
			return heard || broken != nil
		}); err != nil || broken != nil {
			return
		}
	}
}

// hear takes what the kernel has said, however much, and reports whether there was anything. What it
// was is not read: who wants to know lists all addresses anew.
func hear(fd int) (heard bool, err error) {
	var message [1 << 10]byte // longer ones are cut
	for {
		_, _, err := unix.Recvfrom(fd, message[:], unix.MSG_DONTWAIT)
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS): // more than the socket could hold
			heard = true
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return heard, nil
		default:
			return heard, err
		}
	}
}
