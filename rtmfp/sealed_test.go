package rtmfp

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// sealed is the far end of a session with an engine that is tested: it has the keys, and
// no more. Such sessions are made without public-key work, which would take all the time
// of a test with many of them.
type sealed struct {
	engine  *Engine
	session *Session
	keys    *flash.SessionKeys // the far end's
	near    *flash.SessionKeys
	addr    netip.AddrPort
}

// components are those of a keying, made once: the secret tells sessions apart.
var components = sync.OnceValues(func() (near, far []byte) {
	server, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		panic(err)
	}
	client, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		panic(err)
	}
	k, err := client.BeginKeying(server.Certificate(), flash.Policy{}, nil)
	if err != nil {
		panic(err)
	}
	near, _, err = server.AnswerKeying(client.Certificate(), k.Component(), flash.Policy{}, nil)
	if err != nil {
		panic(err)
	}
	return near, k.Component()
})

var sealedLocal = netip.MustParseAddrPort("192.0.2.1:1935")

// sealedIdentity is one for all engines of a test that makes many.
var sealedIdentity = sync.OnceValue(func() *flash.Identity {
	id, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		panic(err)
	}
	return id
})

// openSealed opens a session to e as an IIKeying would. Nothing has decrypted yet.
func openSealed(t testing.TB, e *Engine, addr netip.AddrPort, far flash.Certificate) *sealed {
	t.Helper()
	p := newSealed(t, e, addr, far, false)
	s := p.session
	s.answer = &keyingAnswer{key: e.asked, given: e.now}
	e.unproven.reserve(addr)
	s.open(p.near)
	e.unproven.add(s)
	e.unproven.release(addr)
	return p
}

// openSealedAs is openSealed for a session that e has asked for.
func openSealedAs(t testing.TB, e *Engine, addr netip.AddrPort, far flash.Certificate, h SessionHandler) *sealed {
	t.Helper()
	p := newSealed(t, e, addr, far, true)
	p.session.handler, p.session.initiator = h, true
	p.session.open(p.near)
	h.Opened(p.session)
	return p
}

func newSealed(t testing.TB, e *Engine, addr netip.AddrPort, far flash.Certificate, initiator bool) *sealed {
	t.Helper()
	near, farComponent := components()
	if initiator {
		near, farComponent = farComponent, near
	}
	e.asked++
	secret := binary.BigEndian.AppendUint64(make([]byte, 120), e.asked)
	p := &sealed{engine: e, addr: addr}
	var err error
	if p.near, err = flash.DeriveKeys(secret, near, farComponent); err != nil {
		t.Fatal(err)
	}
	if p.keys, err = flash.DeriveKeys(secret, farComponent, near); err != nil {
		t.Fatal(err)
	}
	s := e.newSession(addr, sealedLocal)
	if s.id, err = e.newID(); err != nil {
		t.Fatal(err)
	}
	s.farID, s.far, s.born = wire.SessionID{1, 2, 3, 4}, far, e.asked
	p.session = s
	return p
}

// send has the engine receive chunks in one packet.
func (p *sealed) send(chunks []byte) {
	b := wire.Header{Mode: wire.ModeInitiator}.Append(p.keys.Sealer.Begin(nil))
	p.engine.Receive(p.engine.now, Datagram{Local: sealedLocal, Peer: p.addr, Data: p.keys.Sealer.Finish(append(b, chunks...), p.session.id)})
}

// someCertificate is one that nobody has to have the key of.
func someCertificate(t testing.TB, n int) flash.Certificate {
	t.Helper()
	c, err := flash.ParseCertificate(wire.AppendOption(nil, 0x1d, binary.BigEndian.AppendUint64([]byte{2}, uint64(n))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// userData appends one fragment, with all that opens a flow.
func userData(b []byte, flow, seq uint64, fra wire.Fragment, msg []byte) []byte {
	c := wire.UserData{
		Fragment: fra, Flow: flow, Seq: seq, FSNOffset: seq,
		HasOptions: true, Options: wire.AppendOption(nil, wire.OptionMetadata, []byte("m")),
	}
	return append(c.AppendHeader(b, len(msg)), msg...)
}

func nextUserData(b []byte, fra wire.Fragment, msg []byte) []byte {
	return append(wire.NextUserData{Fragment: fra}.AppendHeader(b, len(msg)), msg...)
}
