package netconn

import (
	"cmp"
	"net/netip"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
)

// ServerConfig is what a Server is made of. Zero values are the defaults.
type ServerConfig struct {
	// MaxCommand is the longest command taken, in bytes: 0 is
	// DefaultMaxCommand.
	MaxCommand int
	// Unread is how much may wait for a client that does not read, in bytes of memory:
	// what is sent above it is lost, and who leaves so much for long is closed. 0 is
	// DefaultUnread, negative as much as any flow queues, and nobody is closed.
	Unread int
}

// ServerHandler is the application's side of one NetConnection, told what the
// client asks for.
type ServerHandler interface {
	// Connect is called once, with the client's connect. Conn.Accept or
	// Conn.Reject answers it, now or later; until then nothing else is taken
	// from the client.
	Connect(r Request)

	// SetPeerInfo is told the addresses that the client says it has, each time
	// it does. None is legal: only the observed address counts then.
	SetPeerInfo(addrs []netip.AddrPort)

	// Command takes a command that is not part of the protocol. If it is not
	// handled and wants an answer, the client is told that the call failed.
	// A handler answers with Conn.Result or Conn.Error, now or later.
	Command(c Command) (handled bool)

	// Moved tells that the client proved another address.
	Moved()

	// Closed is called once, last, whether or not the connection was accepted:
	// with an error that unwraps to net.ErrClosed if either end closed it, else
	// with what went wrong. No method of the Conn has an effect any more.
	Closed(err error)
}

// Request is a client's connect.
type Request struct {
	App          string // "live/room" of rtmfp://host/live/room
	TCURL        string // the whole URI
	PageURL      string
	SWFURL       string
	FlashVersion string

	// ObjectEncoding is the AMF version that the client asks for: 0 or 3.
	ObjectEncoding float64

	Properties amf.Object // all of the command object
	Args       amf.Args   // the application's own arguments

	Size int // of the message it came in, in bytes
}

func newRequest(c Command) Request {
	o, _ := amf.Members(c.Object)
	return Request{
		App:            o.String("app"),
		TCURL:          o.String("tcUrl"),
		PageURL:        o.String("pageUrl"),
		SWFURL:         o.String("swfUrl"),
		FlashVersion:   o.String("flashVer"),
		ObjectEncoding: o.Number("objectEncoding"),
		Properties:     o,
		Args:           c.Args,
		Size:           c.Size,
	}
}

// Server makes NetConnections of the sessions that clients open.
type Server struct {
	maxCommand int
	unread     int
	accept     func(*Conn) ServerHandler
	stats      Stats
	scratch    []byte // a message being built; flows copy it
	waiting    timeouts
}

// NewServer makes a Server. accept is asked for the handler of each new
// connection before its connect has come; nil closes the session.
func NewServer(c ServerConfig, accept func(*Conn) ServerHandler) *Server {
	return &Server{
		maxCommand: cmp.Or(c.MaxCommand, DefaultMaxCommand), unread: cmp.Or(c.Unread, DefaultUnread), accept: accept,
	}
}

// Accept is for rtmfp.Handler.Accept: a session's handler.
func (s *Server) Accept(session *rtmfp.Session) rtmfp.SessionHandler {
	c := &Conn{server: s, session: session}
	if c.handler = s.accept(c); c.handler == nil {
		return nil
	}
	s.waiting.add(c, session.Engine().Now().Add(connectTimeout))
	return (*connSession)(c)
}

// Stats are the counters of all connections so far.
func (s *Server) Stats() Stats { return s.stats }

// Deadline is when Advance is wanted next; zero if never.
func (s *Server) Deadline() time.Time { return s.waiting.next() }

// Advance ends the sessions that did not get connected in time.
func (s *Server) Advance(now time.Time) {
	for c := range s.waiting.due(now) {
		if c.state < connOpen {
			c.finish(ErrNoConnect)
		}
	}
}

// timeouts are connections that share one period, so that they are due in the
// order in which they came.
type timeouts struct {
	conns []*Conn // nil: it waits no more
	at    []time.Time
	first uint64 // the number of the first: they are counted from 1 on
}

func (t *timeouts) add(c *Conn, at time.Time) {
	if t.conns == nil {
		t.first++
	}
	c.waits = t.first + uint64(len(t.conns))
	t.conns, t.at = append(t.conns, c), append(t.at, at)
}

// remove lets go of a connection that waits no more.
func (t *timeouts) remove(c *Conn) {
	if c.waits == 0 {
		return
	}
	t.conns[c.waits-t.first], c.waits = nil, 0
	for len(t.conns) > 0 && t.conns[0] == nil {
		t.shift()
	}
}

func (t *timeouts) shift() {
	t.conns, t.at = t.conns[1:], t.at[1:]
	if t.first++; len(t.at) == 0 {
		t.conns, t.at = nil, nil
	}
}

func (t *timeouts) next() time.Time {
	if len(t.at) == 0 {
		return time.Time{}
	}
	return t.at[0]
}

// due takes out what is due at now.
func (t *timeouts) due(now time.Time) func(func(*Conn) bool) {
	return func(yield func(*Conn) bool) {
		for len(t.at) > 0 && !now.Before(t.at[0]) {
			c := t.conns[0]
			t.remove(c)
			if !yield(c) {
				return
			}
		}
	}
}
