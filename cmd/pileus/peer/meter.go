package peer

import (
	"fmt"
	"strings"
	"time"
)

// meter tells how fast things go.
type meter struct {
	r         *runner
	began     time.Time
	last      time.Time
	sent, got uint64 // bytes at last
}

const meterInterval = time.Second

func (m *meter) start(r *runner) {
	m.r, m.began, m.last = r, r.engine.Now(), r.engine.Now()
	if r.report.Progress {
		r.engine.After(meterInterval, m.tick)
	}
}

func (m *meter) tick() {
	if m.r.ending {
		return
	}
	m.r.engine.After(meterInterval, m.tick)
	now := m.r.engine.Now()
	elapsed := now.Sub(m.last)
	m.last = now
	args := []any{"seconds", int(now.Sub(m.began).Seconds() + 0.5)}
	parts := []string{}
	if p := m.r.publisher; p != nil {
		bps := bitsPerSecond(p.bytes-m.sent, elapsed)
		m.sent = p.bytes
		parts = append(parts, fmt.Sprintf("out %s, %s, %s to %s", rateText(bps), count(p.tags, "tag"), bytesText(p.bytes), count(uint64(len(p.peers)), "peer")))
		args = append(args, "out_bits_per_second", int64(bps), "out_tags", p.tags, "out_bytes", p.bytes, "out_peers", len(p.peers))
		if len(p.peers) > 0 {
			s := p.peers[0].Session()
			parts = append(parts, rttText(s))
			args = append(args, "out_address", s.Addr().String(), "out_rtt_ms", s.RTT())
		}
	}
	if p := m.r.player; p != nil && p.stream != nil {
		bps := bitsPerSecond(p.bytes-m.got, elapsed)
		m.got = p.bytes
		s := p.stream.Peer().Session()
		parts = append(parts, fmt.Sprintf("in %s, %s, %s", rateText(bps), count(p.tags, "tag"), bytesText(p.bytes)))
		args = append(args, "in_bits_per_second", int64(bps), "in_tags", p.tags, "in_bytes", p.bytes)
		if s.Open() {
			parts = append(parts, rttText(s), fmt.Sprintf("from %v", s.Addr()))
			args = append(args, "in_address", s.Addr().String(), "in_rtt_ms", s.RTT())
		}
	}
	if len(parts) == 0 {
		s := m.r.conn.Session()
		parts = append(parts, fmt.Sprintf("connected, %s", rttText(s)))
		args = append(args, "rtt_ms", s.RTT())
	}
	m.r.report.progress(fmt.Sprintf("%5d s    %s", args[1], strings.Join(parts, ", ")), args...)
}
