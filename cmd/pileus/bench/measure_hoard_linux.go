package bench

import (
	"time"

	"pileus/rtmfp/wire"
)

const (
	hoarders      = 200
	hoardFlows    = 60 // of each
	hoardMessages = 2_950
	hoardRate     = 20_000 // packets per second
)

// hoard has 200 peers send messages of one byte, on 60 flows each, behind a first one
// that never comes, while others join. What cannot be handed on has to be kept, or left
// unacknowledged.
func (l *load) hoard() ([]Value, error) {
	u, err := l.usage()
	if err != nil {
		return nil, err
	}
	var list []*peer
	l.onReady = func(p *peer) { list = append(list, p) }
	for i := range hoarders {
		l.open(floodFirst+i, group2, true)
	}
	if err := l.run(openTimeout, func() (time.Time, bool) { return l.now.Add(time.Second), len(list) == hoarders }); err != nil {
		return nil, err
	}
	start, most, before := time.Now(), 0, l.bytesOut
	honest, packets := l.honest(), pace{start: start, perSecond: hoardRate}
	looked, seq := start, uint64(2)
	if err := l.run(time.Duration(l.cfg.Seconds)*time.Second, func() (time.Time, bool) {
		for range min(packets.due(l.now), floodBurst) {
			p := list[packets.sent%hoarders]
			n := uint64(p.hoard(packets.sent/hoarders%hoardFlows, seq))
			if packets.sent++; packets.sent%(hoarders*hoardFlows) == 0 {
				if seq += n; seq > hoardMessages {
					seq = 2
				}
			}
		}
		honest.join()
		if l.now.Sub(looked) > time.Second/2 {
			looked = l.now
			if now, err := l.usage(); err == nil {
				most = max(most, now.resident-u.resident)
			}
		}
		return packets.next(), false
	}); err != nil {
		return nil, err
	}
	out := l.bytesOut - before
	joins, err := honest.values()
	if err != nil {
		return nil, err
	}
	left := 0
	for _, p := range list {
		if p.state == peerIdle {
			left++
		}
	}
	values := []Value{
		{"sent", float64(out) / (1 << 20), "MiB"},
		{"memory", float64(most) / (1 << 20), "MiB"},
		{"hoarders", percent(left, hoarders), "%"},
	}
	return append(values, joins...), l.closeAll()
}

// hoard sends a packet of messages of a flow, from a sequence number on, and returns how many.
func (p *peer) hoard(flow int, seq uint64) int {
	if p.keys == nil || p.state == peerClosed {
		return 1
	}
	b := wire.UserData{
		Flow: uint64(controlFlow + 1 + flow), Seq: seq, FSNOffset: seq, HasOptions: true, Options: controlMetadata, Data: []byte{1},
	}.Append(p.begin())
	n := 1
	for ; len(b) < 1150; n++ {
		b = wire.NextUserData{Data: []byte{1}}.Append(b)
	}
	p.finish(b)
	return n
}
