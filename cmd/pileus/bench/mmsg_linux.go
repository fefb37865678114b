package bench

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

// A batch is the memory of one such call: packets of one socket.
type batch struct {
	messages []mmsghdr
	parts    []unix.Iovec
	from     []unix.RawSockaddrInet4
	data     [][]byte
}

// newBatch makes room for n packets of size bytes.
func newBatch(n, size int) *batch {
	b := &batch{
		messages: make([]mmsghdr, n),
		parts:    make([]unix.Iovec, n),
		from:     make([]unix.RawSockaddrInet4, n),
		data:     make([][]byte, n),
	}
	for i := range n {
		b.data[i] = make([]byte, size)
		b.parts[i].Base = &b.data[i][0]
		h := &b.messages[i].header
		h.Iov = &b.parts[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.from[i]))
		h.Namelen = unix.SizeofSockaddrInet4
	}
	return b
}

// send sends the first n packets, of length bytes each, and returns how many
// went.
func (b *batch) send(fd, n, length int, to unix.RawSockaddrInet4) int {
	for i := range n {
		b.from[i] = to
		b.parts[i].SetLen(length)
	}
	sent, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[0])), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(sent)
}

// receive fills the batch, each packet cut to its buffer, and returns how many
// came.
func (b *batch) receive(fd int) int {
	for i := range b.messages {
		b.parts[i].SetLen(len(b.data[i]))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[0])), uintptr(len(b.messages)), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// rawSockaddr is an IPv4 address as the kernel has it.
func rawSockaddr(a netip.AddrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	port[0], port[1] = byte(a.Port()>>8), byte(a.Port())
	return raw
}

// addrOf is what rawSockaddr made it of.
func addrOf(raw unix.RawSockaddrInet4) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	return netip.AddrPortFrom(netip.AddrFrom4(raw.Addr), uint16(port[0])<<8|uint16(port[1]))
}
