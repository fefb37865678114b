package turn

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"

	"pileus/rtmfp/udp"
)

// ServeStream serves clients over TCP, or over TLS if config is not nil, until the listener fails or the
// Server is closed, and returns why.
func (s *Server) ServeStream(l net.Listener, config *tls.Config) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return errClosed
	}
	s.listeners[l] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			// Of a client that left at once, or because of a shortage that may pass.
			time.Sleep(acceptPause)
			continue
		}
		s.accept(conn, config)
	}
}

// accept serves one connection, on a goroutine of its own, if there is room for it.
func (s *Server) accept(conn net.Conn, config *tls.Config) {
	from, local := tcpAddr(conn.RemoteAddr()), tcpAddr(conn.LocalAddr())
	prefix := udp.Prefix(from.Addr())
	if !s.admit(prefix) {
		s.count.drop(DropStreamLimit)
		_ = conn.Close()
		return
	}
	transport := TCP
	if config != nil {
		conn, transport = tls.Server(conn, config), TLS
	}
	f := newFront(s, &streamLink{conn: conn, peer: from, count: &s.count}, transport, local)
	f.link.(*streamLink).front = f
	s.running.Go(func() {
		defer s.release(prefix)
		_ = s.serve(f) // a client left
	})
}

func tcpAddr(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return unmap(tcp.AddrPort())
	}
	return netip.AddrPort{}
}

// admit takes a place for a connection. A prefix's share binds once half of all places are taken: until
// then nobody is refused for his neighbours.
func (s *Server) admit(prefix netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.MaxStreams()
	if s.nstreams >= most || s.nstreams >= most/2 && s.streams[prefix] >= max(minStreamShare, most/streamShare) {
		return false
	}
	s.nstreams++
	s.streams[prefix]++
	return true
}

func (s *Server) release(prefix netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nstreams--
	if s.streams[prefix]--; s.streams[prefix] == 0 {
		delete(s.streams, prefix)
	}
}

// A streamLink cuts a connection into frames. One that is longer than can be relayed is left out, unless it is
// the first; what is no frame, or takes too long, ends the connection.
type streamLink struct {
	conn  net.Conn
	peer  netip.AddrPort
	front *front
	count *counters

	spoke    bool // a whole frame has come
	buf      [2 * (maxDatagram + 1)]byte
	at, have int
	skip     int // bytes that are still to come of a frame that is left out
}

func (l *streamLink) next() ([]byte, netip.AddrPort, error) {
	var begun time.Time // when the frame was first seen to lack something
	for {
		if l.leaveOut() {
			begun = time.Time{} // whatever follows it has only now begun
		}
		have, n := l.buf[l.at:l.have], 0
		if l.skip == 0 {
			var err error
			// Who speaks HTTP or anything else seems to begin with a long frame.
			if n, err = frameLen(have); err == nil && n > maxDatagram && !l.spoke {
				err = errFrame
			}
			if err != nil {
				l.count.drop(DropStreamFrame)
				return nil, netip.AddrPort{}, err
			}
			if n > maxDatagram {
				l.skip = n
				continue
			}
		}
		if n > 0 && n <= len(have) {
			l.at += n
			l.spoke = true
			return have[:n], l.peer, nil
		}
		l.have = copy(l.buf[:], have)
		l.at = 0
		now := time.Now()
		if begun.IsZero() {
			begun = now
		}
		if err := l.conn.SetReadDeadline(l.deadline(now, begun)); err != nil {
			return nil, netip.AddrPort{}, err
		}
		got, err := l.conn.Read(l.buf[l.have:])
		l.have += got
		if err != nil && got == 0 {
			if l.have > 0 || l.skip > 0 {
				l.count.drop(DropStreamFrame)
			}
			return nil, netip.AddrPort{}, err
		}
		if len(have) == 0 && l.skip == 0 {
			begun = time.Time{} // it has only now begun
		}
	}
}

// leaveOut passes over what has come of a frame that is left out, and reports whether that was the end of one.
func (l *streamLink) leaveOut() bool {
	if l.skip == 0 {
		return false
	}
	n := min(l.skip, l.have-l.at)
	l.at, l.skip = l.at+n, l.skip-n
	if l.skip > 0 {
		return false
	}
	l.spoke = true
	l.count.drop(DropOversize)
	return true
}

// deadline is until when more has to come.
func (l *streamLink) deadline(now, begun time.Time) time.Time {
	switch {
	case l.have > 0 || l.skip > 0 || !l.spoke:
		return begun.Add(frameTime)
	case l.front.find(l.peer) != nil:
		return now.Add(maxLifetime + frameTime)
	default:
		return now.Add(idleTime)
	}
}

func (l *streamLink) send(p []byte, _ netip.AddrPort) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return err
	}
	_, err := l.conn.Write(p)
	if err != nil {
		_ = l.conn.Close() // half a frame may be out: nothing after it could be read
	}
	return err
}

func (l *streamLink) close() error { return l.conn.Close() }
