package responder

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"pileus/natprobe/binding"
)

// accept serves TCP connections, each for a short time: who has UDP uses that.
func (r *Responder) accept(ctx context.Context, l net.Listener, slots chan struct{}) {
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors, say
			time.Sleep(acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
			streams.Go(func() {
				defer func() { <-slots }()
				r.stream(ctx, conn)
			})
		default:
			_ = conn.Close()
		}
	}
}

// stream answers requests on one connection (RFC 8489 section 6.2.2): messages tell
// their own length.
func (r *Responder) stream(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if conn.SetDeadline(time.Now().Add(streamLife)) != nil {
		return
	}
	from, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	for {
		request, err := binding.Read(conn)
		if err != nil {
			return
		}
		// Ports of UDP are no ports of TCP: discovery means nothing here.
		a, ok := binding.Server{}.Respond(request, from, local)
		if !ok {
			return
		}
		if _, err := conn.Write(a.Data); err != nil {
			return
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
