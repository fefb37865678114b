package netconn

import (
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
)

// noStreams is what a client learns that publishes to the node or plays from it.
const noStreams = "This node introduces peers to each other and carries no streams."

// reject refuses a flow with exception 0, the only code of RFC 7425 5.3.5.3.
func reject() (flow.Accept, error) { return flow.Accept{}, &flow.Exception{} }

// Incoming accepts the client's control flow, and from then on more flows for
// the NetConnection or a stream if they are associated with ours (RFC 7425
// 5.3.5). A flow of a peer-to-peer NetStream has come to the wrong end: it has
// no association, and from some clients an ID of its own range.
func (s *connSession) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	c := (*Conn)(s)
	m, err := ParseMetadata(f.Metadata())
	switch {
	case err != nil:
		c.drop(DropFlow)
		return reject()
	case c.state == connClosed:
		c.drop(DropUnconnected)
		return reject()
	case c.flows >= maxConnFlows:
		c.drop(DropLimit)
		return reject()
	case c.in == nil && m.StreamID == 0:
		c.in = f
	case c.out == nil || f.ReturnOf() != c.out || m.StreamID >= firstPeerStream:
		c.drop(DropStreamFlow)
		return reject()
	}
	c.flows++
	if m.StreamID != 0 {
		return flow.Accept{Receiver: &connStream{c, m.StreamID}, Capacity: sideCapacity}, nil
	}
	a := flow.Accept{Receiver: (*connIn)(c)}
	if f != c.in {
		a.Capacity = sideCapacity
	}
	return a, nil
}

func (c *Conn) drop(r DropReason) { c.server.stats.drop(r) }

// connIn is a Conn as the receiver of flows of stream 0.
type connIn Conn

func (i *connIn) Message(f *flow.RecvFlow, msg []byte) { (*Conn)(i).message(f, 0, msg) }

func (i *connIn) Ended(f *flow.RecvFlow, err error) {
	c := (*Conn)(i)
	c.ended(f)
	if f != c.in {
		return
	}
	if err == nil {
		err = ErrFarClosed
	}
	c.finish(err)
}

// connStream receives a flow of a stream that the client believes to be here.
type connStream struct {
	conn *Conn
	id   uint32
}

func (s *connStream) Message(f *flow.RecvFlow, msg []byte) { s.conn.message(f, s.id, msg) }
func (s *connStream) Ended(f *flow.RecvFlow, _ error)      { s.conn.ended(f) }

func (c *Conn) ended(f *flow.RecvFlow) {
	c.flows--
	c.barriers.ended(f, int(c.flows))
}

// message takes a message of any flow.
func (c *Conn) message(f *flow.RecvFlow, stream uint32, msg []byte) {
	c.server.stats.Messages++
	if c.state == connClosed {
		c.drop(DropUnconnected)
		return
	}
	m, err := ParseMessage(msg)
	if err != nil {
		c.drop(DropTruncated)
		return
	}
	switch m.Type {
	case TypeUserControl:
		c.event(f, m)
	case TypeCommand, TypeCommandExtended:
		if len(m.Payload) > c.server.maxCommand {
			c.drop(DropOversize)
			return
		}
		cmd, err := ParseCommand(m)
		if err != nil {
			c.drop(dropReason(err))
			return
		}
		c.server.stats.Commands++
		if stream == 0 {
			c.command(cmd)
		} else {
			c.streamCommand(stream, cmd)
		}
	case TypeAudio, TypeVideo, TypeData, TypeDataExtended:
		c.drop(DropMedia)
		if stream != 0 {
			f.Reject(0)
			c.ended(f)
		}
	default:
		c.drop(DropType)
	}
}

func (c *Conn) event(f *flow.RecvFlow, m Message) {
	e, data, err := ParseEvent(m)
	if err != nil {
		c.drop(DropTruncated)
		return
	}
	if e != EventFlowSync {
		c.drop(DropEvent)
		return
	}
	id, count, err := parseFlowSync(data)
	if err != nil || !c.barriers.sync(f, id, count) {
		c.drop(DropSync)
	}
}

// command obeys a command of the NetConnection.
func (c *Conn) command(cmd Command) {
	if cmd.Name == "connect" && c.state == connWaiting {
		c.connect(cmd)
		return
	}
	if c.state != connOpen {
		c.drop(DropUnconnected)
		return
	}
	switch cmd.Name {
	case "_result", "_error":
		if !c.calls.answer(cmd) {
			c.drop(DropReply)
		}
	case "setPeerInfo":
		c.handler.SetPeerInfo(peerAddresses(cmd, c.session.Addr().Port()))
	case "createStream":
		// Libraries that publish by default fail late and say why, instead of
		// hanging in the middle of their start.
		if c.streams < firstPeerStream-1 && cmd.Transaction != 0 {
			c.streams++
			_ = c.Result(cmd.Transaction, amf.Number(c.streams)) // counted
			return
		}
		c.unknown(cmd)
	case "deleteStream", "closeStream":
	case "publish", "play", "play2":
		c.streamCommand(0, cmd)
	default:
		if !c.handler.Command(cmd) {
			c.unknown(cmd)
		}
	}
}

func (c *Conn) connect(cmd Command) {
	r := newRequest(cmd)
	c.state = connDeciding
	c.transaction, c.encoding = cmd.Transaction, r.ObjectEncoding
	c.handler.Connect(r)
	if c.state == connDeciding {
		c.in.SetHold(true)
	}
}

// unknown answers a command that nobody knows. Clients rely on it: they ask for
// the length of a stream, and go on when there is none.
func (c *Conn) unknown(cmd Command) {
	if cmd.Transaction == 0 {
		c.drop(DropCommand)
		return
	}
	_ = c.write(notFound(cmd)) // counted
}

// streamCommand refuses to publish and play: there are no streams here.
func (c *Conn) streamCommand(stream uint32, cmd Command) {
	if c.state != connOpen {
		c.drop(DropUnconnected)
		return
	}
	switch cmd.Name {
	case "publish":
		c.refuse(stream, StatusPublishFailed)
	case "play", "play2":
		c.refuse(stream, StatusPlayFailed)
	case "deleteStream", "closeStream":
	default:
		c.unknown(cmd)
	}
}

// refuse sends the status of a stream on a flow of that stream, associated with
// the client's control flow.
func (c *Conn) refuse(stream uint32, code string) {
	event := onStatus(info(levelError, code, noStreams))
	if stream == 0 {
		_ = c.write(event) // counted
		return
	}
	if c.refusals >= maxRefusals {
		c.drop(DropLimit)
		return
	}
	c.refusals++
	f, err := c.session.OpenFlow(Metadata{StreamID: stream}.Append(nil), flow.SendOptions{
		Priority: priorityControl, ReturnOf: c.in,
	})
	if err == nil {
		err = f.Write(c.server.build(event, TypeCommand), flow.WriteOptions{})
		f.Close()
	}
	if err != nil {
		c.drop(DropSend)
	}
}
