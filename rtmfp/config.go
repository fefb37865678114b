package rtmfp

import (
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/wire"
)

// Config says what an engine is. Only Identity and Handler are required; it is
// not changed after [NewEngine].
type Config struct {
	Identity *flash.Identity
	Policy   flash.Policy
	Handler  Handler

	// Rand is the source of every secret; nil is crypto/rand.
	Rand io.Reader
	// SequentialIDs counts session IDs up from 02000000, as clients do. A node
	// leaves it false: its IDs are random over 32 bits, so that packets of
	// others on its port are not mistaken for its own.
	SequentialIDs bool
	// Silent tells sockets at which no IHello is answered; nil: none.
	Silent func(local netip.AddrPort) bool
	// Beside is offered every datagram first, and reports whether it took it: for
	// a protocol that shares the sockets and knows its own. [Engine.Send] answers.
	Beside func(e *Engine, d Datagram) bool
	// Foreign is offered RTMFP that is none of this engine's; nil: nobody is.
	Foreign Foreign
	// Introductions is what a new session does with an FIHello.
	Introductions IntroductionMode
	// HandshakeRate and HandshakeBurst bound the sessions opened to us, per
	// second and prefix (/24 or /56), while more than half is in use of the places for
	// public-key work, or of what Shared bounds. Zero is 20 and 200, negative none.
	HandshakeRate, HandshakeBurst int
	// Shared bounds what all sessions take together; see [Engine.SetSharedLimits].
	Shared SharedLimits
	// OpenTimeout ends an opening that nobody answered; zero is 95 s.
	OpenTimeout time.Duration
	// MaxMessage bounds a message, in bytes, either way; zero is 64 KiB.
	MaxMessage int
	// KeyPool is how many key pairs per group are generated ahead; zero is 32,
	// negative none.
	KeyPool int
}

// Foreign shares an engine's sockets: a relay, for peers that reach no others. Its
// methods report whether they took the datagram; else it is dropped, or answered,
// as if there was nobody.
type Foreign interface {
	// Packet is offered what belongs to no session here. Own sessions come first:
	// what has the ID of one was tried with its key.
	Packet(d Datagram) bool
	// Startup is offered a startup packet, by its first chunk: an IHello for
	// somebody else, an RHello or Redirect that nobody here waits for, an IIKeying
	// whose cookie is not from here.
	Startup(d Datagram, typ wire.ChunkType, body []byte) bool
}

// Handler is told what concerns no session yet.
type Handler interface {
	// Hello is the hook for an IHello whose endpoint discriminator does not
	// select this endpoint: a Redirector or Forwarder answers it (RFC 7016
	// 3.5.1.4, 3.5.1.5). Nothing is known of its sender, not even its address.
	Hello(e *Engine, h Hello)

	// Accept is asked for the handler of a session opened to us, as soon as its
	// first packet under the session key proved the initiator's key. Nil closes
	// the session.
	Accept(s *Session) SessionHandler
}

// Hello is an IHello for somebody else. Its slices are valid during the call.
type Hello struct {
	EPD         flash.EPD
	RawEPD, Tag []byte
	Local, From netip.AddrPort
	Size        int // bytes of UDP payload, to weigh an answer against
}

// SessionHandler is told what happens to one session.
type SessionHandler interface {
	// Opened is called once, when flows can be opened.
	Opened(s *Session)
	// Incoming decides over a flow that the far end opens.
	Incoming(s *Session, f *flow.RecvFlow) (flow.Accept, error)
	// Moved tells that the far end proved a new address.
	Moved(s *Session)
	// Closed is called once, last. err unwraps to net.ErrClosed when this end
	// closed the session.
	Closed(s *Session, err error)
}

// IntroductionMode is a session's answer to an FIHello (RFC 7016 3.5.1.1.2).
type IntroductionMode uint8

// Whether, and how, a peer lets its server introduce others to it.
const (
	IgnoreIntroductions   IntroductionMode = iota
	AnswerIntroductions                    // an RHello to the reply address
	RedirectIntroductions                  // an Implied Redirect to it
)

func (c *Config) fill() error {
	if c.Identity == nil || c.Handler == nil {
		return errors.New("rtmfp: Config needs Identity and Handler")
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.HandshakeRate == 0 {
		c.HandshakeRate, c.HandshakeBurst = defaultHandshakeRate, defaultHandshakeBurst
	}
	if c.OpenTimeout == 0 {
		c.OpenTimeout = defaultOpenTimeout
	}
	return nil
}
