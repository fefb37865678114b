//go:build linux || darwin

package udp

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CarriesTOS says whether a [Datagram]'s TOS means anything here.
const CarriesTOS = true

const msgTruncated = unix.MSG_TRUNC

// controlSpace holds one received TOS or traffic class control message.
var controlSpace = unix.CmsgSpace(4)

// tosControl is a control message that sets the TOS or traffic class of one datagram.
type tosControl struct {
	b []byte
}

func newTOSControl(v6 bool) tosControl {
	b := make([]byte, unix.CmsgSpace(4))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TOS
	if v6 {
		h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_TCLASS
	}
	h.SetLen(unix.CmsgLen(4))
	return tosControl{b: b}
}

// set returns the message for tos, nil for 0: sockets are left at the default.
func (t tosControl) set(tos uint8) []byte {
	if tos == 0 {
		return nil
	}
	binary.NativeEndian.PutUint32(t.b[unix.CmsgLen(0):], uint32(tos))
	return t.b
}

// parseTOS finds the TOS or traffic class among the control messages in b; 0 if there is none.
func parseTOS(b []byte) uint8 {
	for len(b) >= unix.CmsgLen(0) {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return 0
		}
		switch {
		// Linux names the message by the option that is set, macOS by the one that asks for it.
		case h.Level == unix.IPPROTO_IP && (h.Type == unix.IP_TOS || h.Type == unix.IP_RECVTOS) && len(data) >= 1:
			return data[0]
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			return uint8(binary.NativeEndian.Uint32(data))
		}
		b = rest
	}
	return 0
}

func receiveTOS(raw syscall.RawConn, v6 bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_RECVTOS
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), level, option, 1)
	}); err != nil {
		return err
	}
	return failed
}
