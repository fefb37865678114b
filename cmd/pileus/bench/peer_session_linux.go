package bench

import (
	"bytes"

	"golang.org/x/sys/unix"

	"pileus/rtmfp/wire"
)

// receiveBlocks is the receive buffer that acknowledgements advertise, in KiB.
const receiveBlocks = 64

var connectSuccess = []byte("NetConnection.Connect.Success")

// session handles the chunks of a packet that opened under the session key, and
// answers in one packet if there is anything to answer.
func (p *peer) session(chunks []byte) {
	var (
		out      = p.l.answer[:0] // chunks
		data     wire.UserData    // the latest, for Next User Data
		received [len(p.theirs)]bool
		closed   bool
	)
	acked, connected := p.acked, p.connected
	for {
		typ, body, rest, ok := wire.NextChunk(chunks)
		if !ok {
			break
		}
		chunks = rest
		switch typ {
		case wire.ChunkUserData:
			if c, err := wire.ParseUserData(body); err == nil {
				data = c
				p.note(data, &received)
			}
		case wire.ChunkNextUserData:
			if c, err := wire.ParseNextUserData(body); err == nil && data.Flow != 0 {
				data.Seq++
				data.FSNOffset++
				data.Data = c.Data
				p.note(data, &received)
			}
		case wire.ChunkAckRanges:
			if c, err := wire.ParseAckRanges(body); err == nil && c.Flow == controlFlow {
				p.acked = max(p.acked, c.CumAck)
			}
		case wire.ChunkAckBitmap:
			if c, err := wire.ParseAckBitmap(body); err == nil && c.Flow == controlFlow {
				p.acked = max(p.acked, c.CumAck)
			}
		case wire.ChunkPing:
			if c, err := wire.ParsePing(body); err == nil {
				out = wire.PingReply(c).Append(out)
			}
		case wire.ChunkPingReply:
			p.l.pongs++
		case wire.ChunkFIHello:
			p.l.fihellos++
			if c, err := wire.ParseFIHello(body); err == nil && c.ReplyAddress.AddrPort.Addr().Is4() {
				at := c.ReplyAddress.AddrPort
				p.answerHello(&unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, c.Tag)
			}
		case wire.ChunkCloseRequest:
			out, closed = wire.AppendCloseAck(out), true
		case wire.ChunkCloseAck:
			closed = true
		default: // a client as simple as this one has no use for the others
		}
	}
	for i, r := range received {
		if r {
			t := p.theirs[i]
			out = wire.AppendAckRanges(out, t.flow, receiveBlocks, t.cum, nil, cap(out))
		}
	}
	p.respond(out, p.connected != connected || p.acked != acked)
	if p.connected && !connected {
		p.l.ready(p)
	}
	if closed {
		p.enter(peerClosed)
	}
}

// note takes in one fragment of the server's. A fragment after a gap is left
// out, so that the server sends it again.
func (p *peer) note(c wire.UserData, received *[len(peer{}.theirs)]bool) {
	if bytes.Contains(c.Data, connectSuccess) {
		p.connected = true
	}
	for i := range p.theirs {
		t := &p.theirs[i]
		if t.flow == 0 {
			t.flow = c.Flow
		}
		if t.flow != c.Flow {
			continue
		}
		received[i] = true
		t.cum = max(t.cum, c.ForwardSeq())
		if c.Seq == t.cum+1 {
			t.cum++
		}
		return
	}
}

// respond sends the answering chunks, and goes on with connecting if the
// packet was news.
func (p *peer) respond(chunks []byte, news bool) {
	switch {
	case p.state == peerOpen && news && p.connected && p.acked == 1:
		p.sendData(append(p.begin(), chunks...)) // setPeerInfo
	case len(chunks) > 0:
		p.finish(append(p.begin(), chunks...))
	}
	if p.state == peerOpen && p.connected && p.acked >= 2 {
		p.enter(peerIdle)
	}
}
