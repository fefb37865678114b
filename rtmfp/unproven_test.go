package rtmfp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// A session that this end closes before anything has decrypted in it is told so, and
// its first packet brings it nothing any more.
func TestClosedBeforeProof(t *testing.T) {
	e := newTestEngine(t)
	p := openSealed(t, e, netip.MustParseAddrPort("198.51.100.1:5000"), someCertificate(t, 1))
	e.CloseAll()
	told := 0
	send := func(out []Datagram) { told += len(out) }
	e.Flush(send)
	p.send(wire.Ping{}.Append(nil))
	if told != 1 || p.session.handler != nil || e.At(p.addr) != nil {
		t.Errorf("told %d times, handler %v", told, p.session.handler)
	}
	p.send(wire.AppendCloseAck(nil))
	if st := e.Stats(); st.Sessions != 0 || st.Memory != 0 {
		t.Errorf("%+v", st)
	}
}

// A certificate that was shown from elsewhere makes nobody's opening a duplicate: whoever
// wants to meet its owner does. From the very address it is the owner's own call.
func TestShownCertificateIsNoSession(t *testing.T) {
	for _, elsewhere := range []bool{true, false} {
		e := newTestEngine(t)
		id, err := flash.NewIdentity(flash.IdentityOptions{})
		if err != nil {
			t.Fatal(err)
		}
		owner := netip.MustParseAddrPort("198.51.100.1:5000")
		shown := owner
		if elsewhere {
			shown = netip.MustParseAddrPort("203.0.113.66:6666")
		}
		openSealed(t, e, shown, id.Certificate())
		var ended error
		s, err := e.Open(Target{EPD: id.Certificate().EPD(), Addrs: []netip.AddrPort{owner}}, ending{&ended})
		if err != nil {
			t.Fatal(err)
		}
		e.Flush(func([]Datagram) {})
		hello := wire.RHello{Tag: []byte(s.opening.tag), Cookie: make([]byte, cookieLen), Certificate: id.Certificate().Raw()}
		sealer, _ := flash.NewStartup()
		b := hello.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)))
		e.Receive(e.now, Datagram{Local: sealedLocal, Peer: owner, Data: sealer.Finish(b, wire.SessionID{})})
		if elsewhere != (ended == nil && s.state == stateKeyingSent) {
			t.Errorf("shown from elsewhere: %v, the opening ended with %v", elsewhere, ended)
		}
	}
}

// ending keeps why a session ended.
type ending struct{ err *error }

func (ending) Opened(*Session)                {}
func (ending) Moved(*Session)                 {}
func (e ending) Closed(_ *Session, err error) { *e.err = err }
func (ending) Incoming(*Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, nil
}

// A client whose cookie is from before what is remembered gets another one, and in
// with that.
func TestRetiredCookie(t *testing.T) {
	e := newTestEngine(t)
	addr := netip.MustParseAddrPort("198.51.100.1:5000")
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := id.BeginKeying(e.Identity().Certificate(), flash.Policy{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	keying := wire.IIKeying{
		SessionID: wire.SessionID{2, 3, 4, 9}, Cookie: e.cookies.append(nil, e.now, addr), Certificate: id.Certificate().Raw(),
		Component: k.Component(), Signature: signature,
	}
	sealer, opener := flash.NewStartup()
	ask := func() (out []Datagram) {
		b := keying.Append(wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)))
		e.Receive(e.now, Datagram{Local: sealedLocal, Peer: addr, Data: sealer.Finish(b, wire.SessionID{})})
		for _, j := range e.TakeJobs() {
			j.Run()
			e.Finish(e.now, j)
		}
		e.Flush(func(d []Datagram) {
			for _, c := range d {
				c.Data = bytes.Clone(c.Data)
				out = append(out, c)
			}
		})
		return out
	}
	e.now = e.now.Add(5 * time.Second)
	e.seen.oldSince = e.now.Add(-time.Second)
	out := ask()
	if len(out) != 1 || e.Stats().Sessions != 0 {
		t.Fatalf("%d answers, %+v", len(out), e.Stats())
	}
	wire.Unscramble(out[0].Data)
	packet, err := opener.Open(make([]byte, 2048), out[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	_, b, _ := wire.ParseHeader(packet)
	typ, body, _, _ := wire.NextChunk(b)
	change, err := wire.ParseCookieChange(body)
	if typ != wire.ChunkCookieChange || err != nil || !bytes.Equal(change.OldCookie, keying.Cookie) {
		t.Fatalf("chunk %v, %v", typ, err)
	}
	keying.Cookie = change.NewCookie
	if ask(); e.Stats().Sessions != 1 {
		t.Errorf("%+v", e.Stats())
	}
}
