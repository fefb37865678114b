package netconn

import (
	"errors"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

type connState uint8

const (
	connWaiting  connState = iota // for the connect
	connDeciding                  // for Accept or Reject
	connOpen
	connClosed // the handler knows; the last messages may still be under way
)

// Conn is the server's end of a NetConnection.
type Conn struct {
	server  *Server
	handler ServerHandler
	session *rtmfp.Session

	in  *flow.RecvFlow // the client's control flow
	out *flow.SendFlow // ours, once connect was answered

	unread *rtmfp.Timer // runs while out is full
	ending *rtmfp.Timer // of the session, once the connection is over

	transaction float64 // of the connect
	encoding    float64
	waits       uint64 // its place among those that are not accepted yet; 0: none
	calls       calls
	barriers    barriers[*flow.RecvFlow]
	streams     uint32 // stream IDs handed out
	flows       uint16 // open ones, from the client
	refusals    uint8  // of streams
	state       connState
}

// Session is the session under the connection.
func (c *Conn) Session() *rtmfp.Session { return c.session }

// PeerID is the client's.
func (c *Conn) PeerID() flash.PeerID { return c.session.PeerID() }

// Open tells whether the connection has been accepted and is not over.
func (c *Conn) Open() bool { return c.state == connOpen }

// Accept answers the connect with an _result. Its information object names the
// client's peer ID (connectionID), our fingerprint and the client's address as
// seen from here, and whatever the caller adds. Anything else is left out: some
// clients break on properties they did not ask for.
func (c *Conn) Accept(more ...amf.Member) error {
	if c.state != connDeciding {
		return ErrNotConnected
	}
	members := append([]amf.Member{
		{Name: "objectEncoding", Value: amf.Number(c.encoding)},
		{Name: "connectionID", Value: amf.String(c.PeerID().String())},
		{Name: "serverFingerprint", Value: amf.String(c.fingerprint())},
		{Name: "publicAddress", Value: amf.String(c.session.Addr().String())},
	}, more...)
	err := c.answer(Command{
		Name: "_result", Transaction: c.transaction,
		Args: amf.Args{info(levelStatus, StatusConnectSuccess, "Connection succeeded", members...)},
	})
	if err != nil {
		c.finish(err)
		return err
	}
	c.state = connOpen
	c.server.waiting.remove(c)
	c.in.SetHold(false)
	return nil
}

// Reject answers the connect with an _error, then ends the connection. The code
// is StatusConnectRejected, StatusInvalidApp or StatusConnectFailed.
func (c *Conn) Reject(code, description string, more ...amf.Member) {
	if c.state != connDeciding {
		return
	}
	err := c.answer(Command{
		Name: "_error", Transaction: c.transaction,
		Args: amf.Args{info(levelError, code, description, more...)},
	})
	if err == nil {
		_ = c.write(Command{Name: "close"}) // the end of the flow says it too
	}
	c.finish(ErrClosed)
}

// answer opens our control flow with the response to the connect.
func (c *Conn) answer(response Command) error {
	var err error
	c.out, err = c.session.OpenFlow(Metadata{}.Append(nil), flow.SendOptions{
		Priority: priorityControl, ReturnOf: c.in, Events: (*connOut)(c), Buffer: max(0, c.server.unread),
	})
	if err != nil {
		return err
	}
	// "The _result handshake is AMF0", whatever was asked for.
	return c.out.Write(c.server.build(response, TypeCommand), flow.WriteOptions{})
}

// Send sends a command that wants no answer.
func (c *Conn) Send(name string, args ...amf.Value) error {
	return c.write(Command{Name: name, Args: args})
}

// SendEncoded sends a command that was encoded before; connections share its bytes.
func (c *Conn) SendEncoded(e *Encoded) error {
	if c.out == nil || c.state == connClosed {
		return ErrNotConnected
	}
	return c.put(e.message(c.commandType()), true)
}

// Call sends a command and has done called with the answer, or with why there
// is none.
func (c *Conn) Call(name string, done Done, args ...amf.Value) error {
	if c.state != connOpen {
		return ErrNotConnected
	}
	t, err := c.calls.begin(done)
	if err != nil {
		return err
	}
	if err := c.write(Command{Name: name, Transaction: t, Args: args}); err != nil {
		c.calls.forget(t)
		return err
	}
	return nil
}

// Result answers a command of the client.
func (c *Conn) Result(transaction float64, values ...amf.Value) error {
	return c.write(Command{Name: "_result", Transaction: transaction, Args: values})
}

// Error answers a command of the client that failed. The usual code is
// StatusCallFailed.
func (c *Conn) Error(transaction float64, code, description string) error {
	return c.write(Command{
		Name: "_error", Transaction: transaction,
		Args: amf.Args{info(levelError, code, description)},
	})
}

// Status sends an onStatus event. Its level is "status" or "error".
func (c *Conn) Status(level, code, description string, more ...amf.Member) error {
	return c.write(onStatus(info(level, code, description, more...)))
}

// SetKeepalive advises the client of its keepalive periods, towards this server
// and between peers. Clients send no keepalives unless told to.
func (c *Conn) SetKeepalive(server, peer time.Duration) error {
	if c.state != connOpen {
		return ErrNotConnected
	}
	s := c.server
	s.scratch = AppendSetKeepalive(s.scratch[:0], server, peer)
	return c.put(s.scratch, false)
}

// Close ends the connection: what was sent is still delivered.
func (c *Conn) Close() {
	if c.state == connOpen {
		_ = c.write(Command{Name: "close"}) // no room: the end of the flow says it too
	}
	c.finish(ErrClosed)
}

// Abort ends the connection and its session at once.
func (c *Conn) Abort(err error) { c.session.Abort(err) }

// write sends a command. A full flow is the client's doing, who reads nothing.
func (c *Conn) write(cmd Command) error {
	if c.out == nil || c.state == connClosed {
		return ErrNotConnected
	}
	return c.put(c.server.build(cmd, c.commandType()), false)
}

func (c *Conn) commandType() MessageType {
	// "a Type 17 Command Extended Message SHOULD be used if the negotiated
	// object encoding is AMF3" (RFC 7425 5.3.3).
	if c.encoding == 3 && c.state == connOpen {
		return TypeCommandExtended
	}
	return TypeCommand
}

// put queues a message, and sees to it that a client that never reads does not stay.
func (c *Conn) put(msg []byte, shared bool) error {
	err := c.out.Write(msg, flow.WriteOptions{Shared: shared})
	if err == nil {
		return nil
	}
	c.server.stats.drop(DropSend)
	if errors.Is(err, flow.ErrFull) && c.unread == nil && c.server.unread > 0 {
		c.unread = c.session.Engine().After(unreadTimeout, func() {
			c.unread = nil
			c.server.stats.Unread++
			c.session.Abort(ErrUnread)
		})
	}
	return err
}

func stop(t **rtmfp.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// build encodes a command into the server's scratch buffer.
func (s *Server) build(c Command, t MessageType) []byte {
	s.scratch = c.Append(s.scratch[:0], t)
	return s.scratch
}

func (c *Conn) fingerprint() string {
	return c.session.Engine().Identity().Certificate().PeerID().String()
}

// finish ends the NetConnection once and tells the handler. The session goes
// when our control flow has been acknowledged, after closeTimeout at the latest.
func (c *Conn) finish(err error) {
	if c.state == connClosed {
		return
	}
	c.state = connClosed
	c.server.waiting.remove(c)
	if c.out != nil {
		c.out.Close()
		c.ending = c.session.Engine().After(closeTimeout, c.session.Close)
	}
	stop(&c.unread)
	if c.in != nil {
		c.in.SetHold(false)
	}
	c.calls.fail(err)
	c.handler.Closed(err)
	if c.out == nil {
		c.session.CloseError(err)
	}
}

// connSession is a Conn as its session sees it.
type connSession Conn

func (s *connSession) Opened(*rtmfp.Session) {}

func (s *connSession) Moved(*rtmfp.Session) {
	if s.state != connClosed {
		s.handler.Moved()
	}
}

func (s *connSession) Closed(_ *rtmfp.Session, err error) {
	c := (*Conn)(s)
	c.out = nil // all flows are over
	c.finish(err)
	stop(&c.ending)
}

// connOut is a Conn as told about its sending control flow.
type connOut Conn

func (o *connOut) Writable(*flow.SendFlow) { stop(&o.unread) }

// Exception is how many clients close: they reject our control flow and finish
// their own in the same instant.
func (o *connOut) Exception(*flow.SendFlow, uint64) { (*Conn)(o).finish(ErrFarClosed) }

// Closed tells what ended the session, if that is what ended the flow.
func (o *connOut) Closed(_ *flow.SendFlow, err error) {
	c := (*Conn)(o)
	var rejected *flow.Exception
	if err == nil || errors.As(err, &rejected) {
		err = ErrFarClosed
	}
	c.finish(err)
	c.session.Close()
}
