package introducer

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// unforgiving makes of a user's engine a peer that forgives as little as others do.
// It stands between the network and the engine, and sees what is read in one turn:
//
//   - two RIKeyings in one turn make it derive its keys twice: it has those of none;
//   - candidates that come in one turn are tried in an order that nobody knows;
//   - the first RHello wins, and there is no way back;
//   - an IIKeying of a peer that it has an open session with, at the same address,
//     ends that session, whoever repeats it; and certificates are looked at when the
//     turn is over, so an IIKeying that came in one turn with the RIKeying that opened
//     a session does the same.
type unforgiving struct {
	user   *user
	random *rand.Rand
	opener *flash.Opener
	sealer *flash.Sealer
	winner map[string]netip.AddrPort // by tag: where the first RHello came from
	opened map[string]bool           // IIKeyings that sessions were opened by
	broken string                    // what has killed a session; empty: nothing
}

func (n *network) unforgiving(u *user, seed uint64) *unforgiving {
	p := &unforgiving{
		user: u, random: rand.New(rand.NewPCG(seed, 3)),
		winner: make(map[string]netip.AddrPort), opened: make(map[string]bool),
	}
	p.sealer, p.opener = flash.NewStartup()
	n.Turn(u.engine, p.turn)
	return p
}

// chunk is the first chunk of a packet under the key of startup.
func (p *unforgiving) chunk(data []byte) (wire.ChunkType, []byte) {
	packet, err := p.opener.Open(nil, data)
	if err != nil {
		return 0, nil
	}
	h, chunks, err := wire.ParseHeader(packet)
	if err != nil || h.Mode != wire.ModeStartup {
		return 0, nil
	}
	typ, body, _, _ := wire.NextChunk(chunks)
	return typ, body
}

func (p *unforgiving) turn(batch []rtmfp.Datagram) []rtmfp.Datagram {
	var out, redirects []rtmfp.Datagram
	keyed := make(map[wire.SessionID]int)
	asking := make(map[netip.AddrPort]bool)
	for _, d := range batch {
		id, _ := wire.Unscramble(d.Data)
		typ, body := p.chunk(d.Data)
		switch typ {
		case wire.ChunkRedirect:
			redirects = append(redirects, p.split(d, body)...)
			continue
		case wire.ChunkRHello:
			h, err := wire.ParseRHello(body)
			if at, ok := p.winner[string(h.Tag)]; err == nil && ok && at != d.Peer {
				continue
			}
			p.winner[string(h.Tag)] = d.Peer
		case wire.ChunkRIKeying:
			if keyed[id]++; keyed[id] > 1 {
				p.broken = "two RIKeyings in one turn"
			}
			if asking[d.Peer] {
				p.broken = "an IIKeying in one turn with a RIKeying"
			}
		case wire.ChunkIIKeying:
			p.keying(d, body)
			asking[d.Peer] = true
		default:
		}
		out = append(out, d)
	}
	p.random.Shuffle(len(redirects), func(i, j int) { redirects[i], redirects[j] = redirects[j], redirects[i] })
	return append(out, redirects...)
}

// split makes a Redirect one for each of its addresses.
func (p *unforgiving) split(d rtmfp.Datagram, body []byte) []rtmfp.Datagram {
	r, err := wire.ParseRedirect(body)
	if err != nil || len(r.AddressList) < 2 {
		return []rtmfp.Datagram{d}
	}
	var list []rtmfp.Datagram
	for a := range r.Addresses() {
		b := p.sealer.Begin(nil)
		b = wire.Header{Mode: wire.ModeStartup}.Append(b)
		b = wire.Redirect{Tag: r.Tag, AddressList: a.Append(nil)}.Append(b)
		one := d
		one.Data = slices.Clone(p.sealer.Finish(b, wire.SessionID{}))
		list = append(list, one)
	}
	return list
}

// keying takes an IIKeying. Who wins a crossing ignores the other's, and is right.
func (p *unforgiving) keying(d rtmfp.Datagram, body []byte) {
	k, err := wire.ParseIIKeying(body)
	if err != nil || k.SessionID == (wire.SessionID{}) {
		return
	}
	s := p.user.engine.At(d.Peer)
	again := p.opened[string(k.Component)]
	p.opened[string(k.Component)] = s == nil || !s.Initiator()
	if s != nil && s.Open() && string(s.Far().Raw()) == string(k.Certificate) && !again {
		p.broken = "an IIKeying for a session that was open"
	}
}
