package udp

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inbound is what recvmmsg(2) needs, made once. It points into the caller's buffers from one read to the
// next. One reader's sockets share it: then it stays in the processor's cache.
type inbound struct {
	headers  []unix.Mmsghdr
	parts    []unix.Iovec // one a message
	sources  []sockaddr
	controls []receiveControl
	zones    zones

	call func(fd uintptr) bool // is receive
	n    int                   // messages offered, then those received
	err  error
}

// receiveControl has room for the control messages of one message, and their alignment: its TOS, and the
// length of the datagrams that the kernel put together. A cmsghdr has up to 16 bytes.
type receiveControl [6]uint64

func newInbound() *inbound {
	in := new(inbound)
	in.call = in.receive
	return in
}

// grow makes room for n messages.
func (in *inbound) grow(n int) {
	if n <= len(in.headers) {
		return
	}
	if n > 1 {
		n = max(n, inletBatch)
	}
	in.headers = make([]unix.Mmsghdr, n)
	in.parts = make([]unix.Iovec, n)
	in.sources = make([]sockaddr, n)
	in.controls = make([]receiveControl, n)
	for i := range in.headers {
		h := &in.headers[i].Hdr
		h.Iov = &in.parts[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&in.sources[i]))
		h.Control = (*byte)(unsafe.Pointer(&in.controls[i]))
	}
}

// offer makes b message i's buffer.
func (in *inbound) offer(i int, b []byte) {
	in.parts[i].Base = unsafe.SliceData(b)
	in.parts[i].SetLen(len(b))
	h := &in.headers[i].Hdr
	h.Namelen = sockaddrSize
	h.SetControllen(int(unsafe.Sizeof(receiveControl{})))
}

// read receives at most n messages, for which buffers have been offered.
func (in *inbound) read(socket syscall.RawConn, n int) (int, error) {
	in.n, in.err = n, nil
	if err := socket.Read(in.call); err != nil {
		return 0, err
	}
	return in.n, in.err
}

// receive reports whether there was something to receive, if only an error. The call does not block: the
// runtime need not know of it.
func (in *inbound) receive(fd uintptr) bool {
	for {
		n, errno := receiveMessages(fd, in.headers[:in.n])
		switch errno {
		case 0:
			in.n = n
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			in.n, in.err = 0, os.NewSyscallError("recvmmsg", errno)
			return true
		}
	}
}

// receiveMessages returns how many came. For one, the plain call is cheaper by a tenth.
func receiveMessages(fd uintptr, h []unix.Mmsghdr) (int, syscall.Errno) {
	if len(h) == 1 {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h[0].Hdr)), unix.MSG_DONTWAIT)
		h[0].Len = uint32(n)
		return 1, errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&h[0])), uintptr(len(h)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// length returns how many bytes message i has, and whether that is all of it.
func (in *inbound) length(i int) (n int, whole bool) {
	h := &in.headers[i]
	return int(h.Len), h.Hdr.Flags&unix.MSG_TRUNC == 0
}

// control reads message i's TOS, and the length of its datagrams if there may be several, else 0.
func (in *inbound) control(i int) (tos uint8, segment int) {
	space := (*[unsafe.Sizeof(receiveControl{})]byte)(unsafe.Pointer(&in.controls[i]))
	b := space[:min(int(in.headers[i].Hdr.Controllen), len(space))]
	for len(b) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
		size := int(h.Len)
		if size < unix.CmsgLen(0) || size > len(b) {
			break
		}
		data := b[unix.CmsgLen(0):size]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			tos = data[0]
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			tos = uint8(binary.NativeEndian.Uint32(data))
		case h.Level == unix.SOL_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			segment = int(int32(binary.NativeEndian.Uint32(data)))
		}
		b = b[min(unix.CmsgSpace(len(data)), len(b)):]
	}
	return tos, segment
}

// outbound is what sendmmsg(2) needs, made once; as inbound, shared by one writer's sockets.
type outbound struct {
	headers  []unix.Mmsghdr
	parts    []unix.Iovec // one a datagram at most; a message's are in a row
	targets  []sockaddr
	controls []sendControl
	runs     []int // datagrams in each message
	zones    zones

	messages, used int // of headers, of parts
	call           func(fd uintptr) bool
	sent           int // messages
	err            error
}

func newOutbound() *outbound {
	out := new(outbound)
	out.call = out.send
	return out
}

// begin forgets what was added and makes room for n datagrams.
func (out *outbound) begin(n int) {
	out.messages, out.used = 0, 0
	if n <= len(out.headers) {
		return
	}
	out.headers = make([]unix.Mmsghdr, n)
	out.parts = make([]unix.Iovec, n)
	out.targets = make([]sockaddr, n)
	out.controls = make([]sendControl, n)
	out.runs = make([]int, n)
	for i := range out.headers {
		out.headers[i].Hdr.Name = (*byte)(unsafe.Pointer(&out.targets[i]))
	}
}

// add makes one message of a run.
func (out *outbound) add(run []Datagram, v6 bool) {
	i := out.messages
	out.messages++
	out.runs[i] = len(run)
	first, size := &run[0], 0
	if len(run) > 1 {
		size = len(first.Data)
	}
	h := &out.headers[i].Hdr
	h.Namelen = out.targets[i].set(first.Peer, &out.zones)
	out.controls[i].set(h, first.TOS, size, v6)
	h.Iov = &out.parts[out.used]
	part := out.part(first.Data)
	length, parts := len(first.Data), 1
	for _, d := range run[1:] {
		// Datagrams that came together lie in memory in a row.
		if uintptr(unsafe.Pointer(unsafe.SliceData(d.Data))) == uintptr(unsafe.Pointer(part.Base))+uintptr(length) {
			length += len(d.Data)
			part.SetLen(length)
			continue
		}
		part = out.part(d.Data)
		length = len(d.Data)
		parts++
	}
	h.SetIovlen(parts)
}

func (out *outbound) part(b []byte) *unix.Iovec {
	p := &out.parts[out.used]
	out.used++
	p.Base = unsafe.SliceData(b)
	p.SetLen(len(b))
	return p
}

// write sends what was added, and returns how many datagrams went before the first that failed. The error
// is the first one's own.
func (out *outbound) write(socket syscall.RawConn) (int, error) {
	out.sent, out.err = 0, nil
	if err := socket.Write(out.call); err != nil {
		return 0, err
	}
	n := 0
	for _, run := range out.runs[:out.sent] {
		n += run
	}
	return n, out.err
}

// send reports whether something went or failed: false means that the socket's buffer is full.
func (out *outbound) send(fd uintptr) bool {
	for {
		n, errno := sendMessages(fd, out.headers[:out.messages])
		switch errno {
		case 0:
			out.sent = n
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			out.err = os.NewSyscallError("sendmmsg", errno)
			return true
		}
	}
}

// sendMessages returns how many went. For one, the plain calls are cheaper: sendmsg, and most of all sendto,
// for which the kernel need not copy headers.
func sendMessages(fd uintptr, h []unix.Mmsghdr) (int, syscall.Errno) {
	if len(h) == 1 {
		m := &h[0].Hdr
		if m.Control == nil && m.Iovlen == 1 {
			_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(m.Iov.Base)), uintptr(m.Iov.Len),
				unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(m.Name)), uintptr(m.Namelen))
			return 1, errno
		}
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(m)), unix.MSG_DONTWAIT)
		return 1, errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&h[0])), uintptr(len(h)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}
