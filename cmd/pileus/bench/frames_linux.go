package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frames is a load of lanes as whole Ethernet frames, built once, put on the
// cables by packet sockets past the network stack of the load, and counted by
// others as they come off. It costs so little of core 1 that a relay on core 0
// can be offered more than it takes. The sockets that opened the lanes stay, and
// their addresses are those in the frames, but neither send nor receive.
type frames struct {
	wires  *wires
	frame  int // bytes of the longest
	sides  [2]side
	marked [][]byte // where each frame has its mark
	turn   int      // the side whose lane is next
	burst  int
}

// A side is one end's cable: what it sends, and what comes to it.
type side struct {
	out      int // packet socket
	messages []mmsghdr
	at       int // the next of them
	counter  *counter
}

// minMessages of a side, in which its lanes take turns, so that one system call
// can send many.
const minMessages = 2 * turnSends

// newFrames makes the load of lanes that newLanes takes too: lanes with even
// numbers send from near, the others from far.
func newFrames(all []lane, size, burst int, w *wires) (f *frames, err error) {
	f = &frames{wires: w, burst: burst}
	for i := range f.sides {
		f.sides[i].out = -1
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	var lists [2][][]byte
	var comes [2]int // payload bytes that come to a side
	for i, lane := range all {
		from, err := localOf(lane.out)
		if err != nil {
			return f, err
		}
		payload := make([]byte, len(lane.header)+size)
		copy(payload[copy(payload, lane.header):], lane.start[:])
		frame := appendFrame(nil, i%2, from, addrOf(lane.to), payload)
		f.marked = append(f.marked, frame[len(frame)-size+markOffset:][:8])
		lists[i%2] = append(lists[i%2], frame)
		f.frame = max(f.frame, len(frame)-virtioHeader, ethernetHeader+udpHeaders+lane.adds+size)
		comes[1-i%2] = lane.adds + size
	}
	for i := range f.sides {
		s := &f.sides[i]
		s.messages = inTurns(lists[i], burst)
		adds := comes[i] - size
		err := inNamespace(w.namespace(ends[i].role), func() (err error) {
			if s.out, err = packetSender("cable"); err != nil {
				return err
			}
			s.counter, err = newCounter("cable", comes[i], adds+markOffset)
			return err
		})
		if err != nil {
			return f, fmt.Errorf("packet sockets: %w", err)
		}
	}
	return f, nil
}

func (f *frames) close() {
	for i := range f.sides {
		if s := &f.sides[i]; s.out >= 0 {
			_ = unix.Close(s.out)
			s.out = -1
		}
		f.sides[i].counter.close()
	}
}

// inTurns makes messages of burst times each frame in turn.
func inTurns(all [][]byte, burst int) []mmsghdr {
	var out []mmsghdr
	parts := make([]unix.Iovec, len(all))
	for len(out) < minMessages {
		for i, frame := range all {
			parts[i].Base = &frame[0]
			parts[i].SetLen(len(frame))
			var m mmsghdr
			m.header.Iov = &parts[i]
			m.header.SetIovlen(1)
			for range burst {
				out = append(out, m)
			}
		}
	}
	return out
}

func (f *frames) begin(mark uint64) error {
	if err := f.wires.carry(true); err != nil {
		return err
	}
	for _, b := range f.marked {
		binary.BigEndian.PutUint64(b, mark)
	}
	for i := range f.sides {
		if err := f.sides[i].counter.begin(mark); err != nil {
			return err
		}
	}
	return nil
}

func (f *frames) send(n int) (sent int) {
	sent = f.sides[f.turn].send((n + 1) / 2 * f.burst)
	sent += f.sides[1-f.turn].send(n / 2 * f.burst)
	f.turn = (f.turn + n) % 2
	return sent
}

// send sends the next n packets. Those for which the cable has no room are lost
// as those are that a network card has no room for: the system call stops there.
func (s *side) send(n int) (sent int) {
	for n > 0 {
		some := min(n, len(s.messages)-s.at)
		went, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.out), uintptr(unsafe.Pointer(&s.messages[s.at])), uintptr(some), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
		case unix.ENOBUFS:
			went = 1
		default:
			return sent
		}
		sent += int(went)
		n -= int(went)
		s.at = (s.at + int(went)) % len(s.messages)
	}
	return sent
}

// poll leaves it to the kernel to count.
func (f *frames) poll(*flight) {}

func (f *frames) collect(to *flight) (total int) {
	for i := range f.sides {
		total += f.sides[i].counter.take()
	}
	to.received += total
	return total
}

var errCompany = errors.New("packets cross the cables in company: more than one at the price of one")

func (f *frames) end(*flight) error {
	for i := range f.sides {
		mean, err := f.sides[i].counter.mean()
		if err != nil {
			return err
		}
		if mean > float64(f.frame) {
			return fmt.Errorf("%w: %.0f bytes each", errCompany, mean)
		}
	}
	return nil
}

const (
	virtioHeader   = 10 // struct virtio_net_hdr
	ethernetHeader = 14
	ipHeader       = 20
	udpHeader      = 8
	udpHeaders     = ipHeader + udpHeader
)

// appendFrame appends a frame to the relay's end of a cable, as a packet socket
// with PACKET_VNET_HDR takes it. As from a UDP socket on a veth, the UDP checksum
// is left to a network card that there is none of: who receives believes it.
func appendFrame(b []byte, cable int, from, to netip.AddrPort, payload []byte) []byte {
	b = append(b, unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_NONE)
	b = append(b, 0, 0, 0, 0) // of segmentation
	b = binary.NativeEndian.AppendUint16(b, ethernetHeader+ipHeader)
	b = binary.NativeEndian.AppendUint16(b, 6) // where in UDP's header the checksum is

	b = append(b, hardware(cable, ofRelay)...)
	b = append(b, hardware(cable, ofLoad)...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)

	length := udpHeader + len(payload)
	src, dst := from.Addr().As4(), to.Addr().As4()
	header := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(ipHeader+length))
	b = append(b, 0, 0, 0x40, 0) // never to be fragmented, so that it needs no identification (RFC 6864 section 4.1)
	b = append(b, 64, unix.IPPROTO_UDP, 0, 0)
	b = append(append(b, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(b[header+10:], ^onesSum(b[header:]))

	// The card would begin with the pseudo-header's sum (RFC 768).
	pseudo := append(append([]byte{0, unix.IPPROTO_UDP, byte(length >> 8), byte(length)}, src[:]...), dst[:]...)
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = binary.BigEndian.AppendUint16(b, onesSum(pseudo))
	return append(b, payload...)
}

// onesSum is the one's complement sum of an even number of bytes (RFC 1071).
func onesSum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// packetSender sends frames from a device, without a queue between.
func packetSender(device string) (fd int, err error) {
	in, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	// Protocol 0: it receives nothing.
	if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return -1, err
	}
	err = errors.Join(
		// A packet counts as this socket's until the relay's kernel takes it off the cable.
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, socketBuffer),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: in.Index}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
