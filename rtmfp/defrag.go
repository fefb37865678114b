package rtmfp

import (
	"container/list"
	"errors"
	"net/netip"
	"time"

	"pileus/rtmfp/wire"
)

// Limits of reassembly. Fragments come under the public default key from anybody,
// before any cookie, so this is all that strangers can make a node hold: less than
// 2 MiB.
const (
	// defragMaxPacket bounds one reassembled packet, in bytes. The largest that an
	// endpoint has reason to send, an IIKeying with static keys in four groups, is
	// under 4 KiB.
	defragMaxPacket = 16 << 10

	// defragMaxFragments bounds the fragments of one packet: 256 bytes each on
	// average at the largest size, and a bit each in a uint64.
	defragMaxFragments = 64

	// defragMaxPackets bounds the packets in reassembly: "a busy server might need
	// to allow for several hundred" (section 3.4).
	defragMaxPackets = 256

	// defragMaxBytes bounds the buffers of all of them together.
	defragMaxBytes = 1 << 20

	// "A receiver SHOULD allow up to 60 seconds to completely receive a fragmented
	// packet for which progress is being made. A packet is progressing if at least
	// one new fragment for it was received in the last second" (section 3.4).
	defragMaxAge   = 60 * time.Second
	defragMaxStall = time.Second
)

// Why a fragment, or the packet it completes, is dropped.
var (
	errFragmentDuplicate = errors.New("rtmfp: packet fragment received already")
	errFragmentIndex     = errors.New("rtmfp: packet fragment beyond the last or beyond the limit")
	errFragmentMode      = errors.New("rtmfp: packet fragment in a packet of another mode")
	errFragmentTooLarge  = errors.New("rtmfp: fragmented packet too large")
	errFragmentTooOld    = errors.New("rtmfp: fragmented packet took too long")
)

// defragKey tells fragmented packets apart. At startup RFC 7016 section 3.4 names
// the source address and the packet ID; the local address and the session ID, zero
// at startup, keep what came over different sockets or keys apart as well.
type defragKey struct {
	local, peer netip.AddrPort
	session     wire.SessionID
	packet      uint64
}

// defragmenter reassembles packets from Packet Fragment chunks (section 3.4). The
// zero value is ready for use. When a limit is reached, the packet that has made no
// progress for the longest time gives way: under a flood an honest packet, whose
// fragments come close together, still has its chance.
type defragmenter struct {
	packets map[defragKey]*list.Element
	stalest list.List // of *partialPacket, the longest without progress first
	bytes   int       // capacity of all buffers

	evicted uint64 // packets that gave way to others
	expired uint64 // packets without progress for defragMaxStall
}

// partialPacket holds what has come of a packet, in the order of arrival.
type partialPacket struct {
	key      defragKey
	mode     wire.Mode
	began    time.Time
	progress time.Time
	buf      []byte
	pieces   [defragMaxFragments]struct{ from, to uint16 } // within buf
	have     uint64                                        // bit n: fragment n is here
	last     int                                           // index of the final fragment, -1 if unknown
}

// add takes a fragment that arrived in a packet of the given mode. It returns the
// whole packet when f completes it, else nil. The packet aliases f.Data when f is
// all of it, and is the caller's otherwise; Packet Fragment chunks inside it are to
// be ignored. An error drops f alone, except that errFragmentTooLarge,
// errFragmentTooOld and, for a completed packet, errFragmentMode drop the packet.
func (d *defragmenter) add(now time.Time, key defragKey, mode wire.Mode, f wire.PacketFragment) ([]byte, error) {
	d.expire(now)
	if f.Fragment >= defragMaxFragments {
		return nil, errFragmentIndex
	}
	index := int(f.Fragment)
	e := d.packets[key]
	if e == nil {
		if index == 0 && !f.More {
			return checkDefragged(f.Data, mode)
		}
		e = d.begin(now, key, mode)
	}
	p := e.Value.(*partialPacket)

	switch {
	case now.Sub(p.began) > defragMaxAge:
		d.remove(e)
		return nil, errFragmentTooOld
	case p.mode != mode:
		return nil, errFragmentMode
	case p.have>>index&1 != 0:
		return nil, errFragmentDuplicate
	case p.last >= 0 && (index > p.last || !f.More), // behind the final fragment, or a second one
		!f.More && p.have>>index != 0: // the final fragment before one that is here
		return nil, errFragmentIndex
	case len(p.buf)+len(f.Data) > defragMaxPacket:
		d.remove(e)
		return nil, errFragmentTooLarge
	}
	d.store(e, now, index, f)
	if !p.complete() {
		return nil, nil
	}
	d.remove(e)
	return checkDefragged(p.assemble(), mode)
}

func (d *defragmenter) begin(now time.Time, key defragKey, mode wire.Mode) *list.Element {
	if len(d.packets) >= defragMaxPackets {
		d.evict()
	}
	if d.packets == nil {
		d.packets = make(map[defragKey]*list.Element)
	}
	e := d.stalest.PushBack(&partialPacket{key: key, mode: mode, began: now, progress: now, last: -1})
	d.packets[key] = e
	return e
}

func (d *defragmenter) store(e *list.Element, now time.Time, index int, f wire.PacketFragment) {
	p := e.Value.(*partialPacket)
	d.bytes -= cap(p.buf)
	from := len(p.buf)
	p.buf = append(p.buf, f.Data...)
	d.bytes += cap(p.buf)

	p.pieces[index].from, p.pieces[index].to = uint16(from), uint16(len(p.buf))
	p.have |= 1 << index
	if !f.More {
		p.last = index
	}
	p.progress = now
	d.stalest.MoveToBack(e)
	for d.bytes > defragMaxBytes {
		d.evict() // never e, which one packet's limit keeps far below the total
	}
}

// has reports whether part of the packet is here.
func (d *defragmenter) has(key defragKey) bool { return d.packets[key] != nil }

// deadline returns when expire is next of use, zero for never.
func (d *defragmenter) deadline() time.Time {
	e := d.stalest.Front()
	if e == nil {
		return time.Time{}
	}
	return e.Value.(*partialPacket).progress.Add(defragMaxStall)
}

// expire forgets the packets that do not progress any more.
func (d *defragmenter) expire(now time.Time) {
	for e := d.stalest.Front(); e != nil; e = d.stalest.Front() {
		if now.Sub(e.Value.(*partialPacket).progress) < defragMaxStall {
			return
		}
		d.remove(e)
		d.expired++
	}
}

func (d *defragmenter) evict() {
	d.remove(d.stalest.Front())
	d.evicted++
}

func (d *defragmenter) remove(e *list.Element) {
	p := d.stalest.Remove(e).(*partialPacket)
	delete(d.packets, p.key)
	d.bytes -= cap(p.buf)
}

func (p *partialPacket) complete() bool {
	return p.last >= 0 && p.have == 1<<(p.last+1)-1
}

func (p *partialPacket) assemble() []byte {
	packet := make([]byte, 0, len(p.buf))
	for _, piece := range p.pieces[:p.last+1] {
		packet = append(packet, p.buf[piece.from:piece.to]...)
	}
	return packet
}

// "A receiver MUST discard any reassembled packet with a mode different than the
// packets containing its fragments" (section 3.4).
func checkDefragged(packet []byte, mode wire.Mode) ([]byte, error) {
	h, _, err := wire.ParseHeader(packet)
	if err != nil {
		return nil, err
	}
	if h.Mode != mode {
		return nil, errFragmentMode
	}
	return packet, nil
}
