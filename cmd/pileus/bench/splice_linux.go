package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"pileus/relay/guard"
	"pileus/relay/limit"
	"pileus/relay/splice"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
	"pileus/rtmfp/wire"
)

// A spliceOrder asks ServeSplices for a splice; a spliceGrant is its answer.
type spliceOrder struct {
	Near, Far   netip.AddrPort
	Peers       [2][]byte // peer IDs
	EPD, Tag    []byte
	Certificate []byte `json:"-"` // of the far one
}

type spliceGrant struct{ Near, Far netip.AddrPort }

const firstSplice = 20000 // the first relay port

// ServeSplices relays until ctx ends. It reads a JSON array of orders and writes
// one of grants.
func ServeSplices(ctx context.Context, orders io.Reader, grants io.Writer) error {
	var all []spliceOrder
	if err := json.NewDecoder(orders).Decode(&all); err != nil {
		return fmt.Errorf("splices to relay: %w; this command is for bench relay to start", err)
	}
	limits := limit.New(limit.Config{}, nil)
	// One end of each pair only listens, and must not be taken for gone.
	cfg := splice.Config{Guard: guard.New(guard.Config{}), Limits: limits, Idle: time.Hour}
	for i := range 2 * len(all) {
		c, err := udp.Listen(netip.AddrPortFrom(netip.MustParseAddr(relayIP), uint16(firstSplice+i)), udp.Options{ReceiveBuffer: splice.PortBuffer})
		if err != nil {
			return err
		}
		cfg.Sockets = append(cfg.Sockets, c)
	}
	r, err := splice.New(cfg)
	if err != nil {
		return err
	}
	answers := make([]spliceGrant, len(all))
	for i, o := range all {
		g, err := r.Open(splice.Request{
			Tag: o.Tag, EPD: o.EPD,
			Initiator: splice.Party{Peer: flash.PeerID(o.Peers[0]), Addr: o.Near, Local: cfg.Sockets[0].LocalAddr()},
			Target:    splice.Party{Peer: flash.PeerID(o.Peers[1]), Addr: o.Far, Local: cfg.Sockets[0].LocalAddr()},
		})
		if err != nil {
			return err
		}
		answers[i] = spliceGrant{g.Initiator, g.Target}
	}
	if err := json.NewEncoder(grants).Encode(answers); err != nil {
		return err
	}
	go limits.Run(ctx)
	return r.Serve(ctx)
}

// Session IDs of the two ends, at every splice the same: so are those of real
// clients.
var nearSession, farSession = wire.SessionID{3, 0, 0, 0}, wire.SessionID{4, 0, 0, 0}

// startSplices runs the relay and opens a splice for each pair, with the startup
// packets of an introduction. Every other pair sends from the near end to the
// far one, the rest back.
func startSplices(ctx context.Context, command string, near, far []int) (server process, all []lane, err error) {
	orders := make([]spliceOrder, len(near))
	certificates := make([][]byte, len(near))
	for i := range orders {
		o := &orders[i]
		o.Tag = fmt.Appendf(nil, "bench %10d", i)
		for j, fd := range []int{near[i], far[i]} {
			id, err := flash.NewIdentity(flash.IdentityOptions{})
			if err != nil {
				return server, nil, err
			}
			peer := id.Certificate().PeerID()
			o.Peers[j] = peer[:]
			if j == 0 {
				o.Near, err = localOf(fd)
				certificates[i] = id.Certificate().Raw()
			} else {
				o.Far, err = localOf(fd)
				o.Certificate, o.EPD = id.Certificate().Raw(), id.Certificate().EPD().Append(nil)
			}
			if err != nil {
				return server, nil, err
			}
		}
	}
	asked, err := json.Marshal(orders)
	if err != nil {
		return server, nil, err
	}
	answered, answers := io.Pipe()
	if server, err = startPiped(ctx, command, bytes.NewReader(asked), answers); err != nil {
		return server, nil, err
	}
	late := time.AfterFunc(startTimeout, func() { _ = answers.CloseWithError(errors.New("the relay does not start")) })
	defer late.Stop()
	var grants []spliceGrant
	if err := json.NewDecoder(answered).Decode(&grants); err != nil {
		return server, nil, fmt.Errorf("splices: %w", err)
	}
	all = make([]lane, len(near))
	for i, g := range grants {
		if err := newStartup(orders[i], certificates[i]).through(near[i], far[i], g); err != nil {
			return server, nil, fmt.Errorf("splice %d: %w", i, err)
		}
		if i%2 == 0 {
			all[i] = lane{out: near[i], to: rawSockaddr(g.Near), in: far[i]}
			farSession.Scramble(all[i].start[:])
		} else {
			all[i] = lane{out: far[i], to: rawSockaddr(g.Far), in: near[i]}
			nearSession.Scramble(all[i].start[:])
		}
	}
	return server, all, nil
}

// A startup is the packets of RFC 7016 section 3.5.1 as a relay sees them. What
// is inside the keyings is between the ends.
type startup struct{ ihello, rhello, iikeying, rikeying, first []byte }

func newStartup(o spliceOrder, certificate []byte) startup {
	sealer, _ := flash.NewStartup()
	packet := func(id wire.SessionID, chunk interface{ Append([]byte) []byte }) []byte {
		header := wire.Header{Mode: wire.ModeStartup}
		return sealer.Finish(chunk.Append(header.Append(sealer.Begin(nil))), id)
	}
	cookie := append([]byte("cookie of "), o.Tag...)
	first := make([]byte, 2*markOffset)
	farSession.Scramble(first)
	return startup{
		ihello:   packet(wire.SessionID{}, wire.IHello{EPD: o.EPD, Tag: o.Tag}),
		rhello:   packet(wire.SessionID{}, wire.RHello{Tag: o.Tag, Cookie: cookie, Certificate: o.Certificate}),
		iikeying: packet(wire.SessionID{}, wire.IIKeying{SessionID: nearSession, Cookie: cookie, Certificate: certificate, Component: []byte{1}, Signature: []byte("X")}),
		rikeying: packet(nearSession, wire.RIKeying{SessionID: farSession, Component: []byte{1}, Signature: []byte("X")}),
		first:    first,
	}
}

// through sends each packet until it is seen to arrive.
func (s startup) through(near, far int, g spliceGrant) error {
	// The relay keeps the IHello, and knows from then on where the near end is.
	if err := sendTo(near, g.Near, s.ihello); err != nil {
		return err
	}
	for _, step := range []struct {
		from, to int
		at       netip.AddrPort
		packet   []byte
	}{
		{far, near, g.Far, s.rhello},
		{near, far, g.Near, s.iikeying},
		{far, near, g.Far, s.rikeying},
		{near, far, g.Near, s.first},
	} {
		if err := deliver(step.from, step.to, step.at, step.packet); err != nil {
			return err
		}
	}
	return nil
}

func deliver(from, to int, at netip.AddrPort, packet []byte) error {
	b := make([]byte, maxDatagram)
	for range turnTries {
		if err := sendTo(from, at, packet); err != nil {
			return err
		}
		end := time.Now().Add(turnTimeout)
		for left := time.Until(end); left > 0; left = time.Until(end) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(to), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
			if n, _, err := unix.Recvfrom(to, b, 0); err == nil && bytes.Equal(b[:n], packet) {
				return nil
			}
		}
	}
	return errors.New("a startup packet does not get through")
}

func sendTo(fd int, to netip.AddrPort, packet []byte) error {
	return unix.Sendto(fd, packet, 0, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
}
