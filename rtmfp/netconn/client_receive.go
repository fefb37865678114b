package netconn

import (
	"errors"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flow"
)

// clientSession is a Client as its session with the server sees it.
type clientSession Client

func (s *clientSession) Opened(session *rtmfp.Session) {
	c := (*Client)(s)
	// Peers find this client through the server.
	session.SetIntroductions(rtmfp.AnswerIntroductions)
	var err error
	c.control, err = session.OpenFlow(Metadata{}.Append(nil), flow.SendOptions{
		Priority: priorityControl, Events: (*clientControl)(c),
	})
	if err == nil {
		err = c.connect()
	}
	if err != nil {
		c.end(err)
	}
}

func (s *clientSession) Moved(*rtmfp.Session) {}

func (s *clientSession) Closed(_ *rtmfp.Session, err error) {
	c := (*Client)(s)
	if c.state == clientClosing {
		err = ErrClosed
	}
	c.end(err)
}

// Incoming takes flows that answer our control flow: those of the NetConnection
// and of streams on the server.
func (s *clientSession) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	c := (*Client)(s)
	m, err := ParseMetadata(f.Metadata())
	switch {
	case err != nil:
		c.stats.drop(DropFlow)
		return reject()
	case c.control == nil || f.ReturnOf() != c.control:
		c.stats.drop(DropStreamFlow)
		return reject()
	case c.flows >= maxConnFlows:
		c.stats.drop(DropLimit)
		return reject()
	}
	if c.server == nil && m.StreamID == 0 {
		c.server = f
	}
	c.flows++
	return flow.Accept{Receiver: (*clientReceiver)(c)}, nil
}

// clientControl is a Client as told about its control flow.
type clientControl Client

func (o *clientControl) Writable(*flow.SendFlow) {}

func (o *clientControl) Exception(*flow.SendFlow, uint64) { (*Client)(o).farClosed() }

// Closed is also the first to hear that the session is over, and why.
func (o *clientControl) Closed(_ *flow.SendFlow, err error) {
	c := (*Client)(o)
	var rejected *flow.Exception
	if err == nil || errors.As(err, &rejected) || c.state >= clientClosing {
		c.farClosed()
		return
	}
	c.end(err)
}

// farClosed ends the connection because the server did, or agreed to.
func (c *Client) farClosed() {
	if c.state == clientClosing {
		c.end(ErrClosed)
		return
	}
	c.end(ErrFarClosed)
}

// clientReceiver is a Client as the receiver of the server's flows.
type clientReceiver Client

func (r *clientReceiver) Ended(f *flow.RecvFlow, err error) {
	c := (*Client)(r)
	c.ended(f)
	if f != c.server {
		return
	}
	if err != nil && c.state < clientClosing {
		c.end(err)
		return
	}
	c.farClosed()
}

func (c *Client) ended(f *flow.RecvFlow) {
	c.flows--
	c.barriers.ended(f, c.flows)
}

func (r *clientReceiver) Message(f *flow.RecvFlow, msg []byte) {
	c := (*Client)(r)
	c.stats.Messages++
	m, err := ParseMessage(msg)
	if err != nil {
		c.stats.drop(DropTruncated)
		return
	}
	switch m.Type {
	case TypeUserControl:
		c.event(f, m)
	case TypeCommand, TypeCommandExtended:
		if cmd, ok := c.parse(m); ok {
			c.command(cmd)
		}
	case TypeAudio, TypeVideo, TypeData, TypeDataExtended:
		c.stats.drop(DropMedia)
		if f != c.server {
			f.Reject(0)
			c.ended(f)
		}
	default:
		c.stats.drop(DropType)
	}
}

// parse reads a command or counts why not.
func (c *Client) parse(m Message) (Command, bool) {
	if len(m.Payload) > c.cfg.MaxCommand {
		c.stats.drop(DropOversize)
		return Command{}, false
	}
	cmd, err := ParseCommand(m)
	if err != nil {
		c.stats.drop(dropReason(err))
		return Command{}, false
	}
	c.stats.Commands++
	return cmd, true
}

func (c *Client) event(f *flow.RecvFlow, m Message) {
	e, data, err := ParseEvent(m)
	if err != nil {
		c.stats.drop(DropTruncated)
		return
	}
	switch e {
	case EventFlowSync:
		id, count, err := parseFlowSync(data)
		if err != nil || !c.barriers.sync(f, id, count) {
			c.stats.drop(DropSync)
		}
	case EventSetKeepalive:
		server, peer, err := parseSetKeepalive(data)
		if err != nil || f != c.server {
			c.stats.drop(DropEvent)
			return
		}
		c.setKeepalive(max(server, minKeepalive), max(peer, minKeepalive))
	default:
		c.stats.drop(DropEvent)
	}
}

func (c *Client) setKeepalive(server, peer time.Duration) {
	c.session.SetKeepalive(server)
	c.peerKeepalive = peer
	for _, p := range c.peers {
		p.session.SetKeepalive(peer)
	}
}

func (c *Client) command(cmd Command) {
	switch cmd.Name {
	case "_result", "_error":
		if !c.calls.answer(cmd) {
			c.stats.drop(DropReply)
		}
	case "onStatus":
		o, _ := cmd.Given().Object(0)
		c.handler.Status(o)
	case "close":
		c.farClosed()
	default:
		if c.handler.Command(cmd) {
			return
		}
		if cmd.Transaction == 0 {
			c.stats.drop(DropCommand)
			return
		}
		if err := c.write(notFound(cmd)); err != nil {
			c.stats.drop(DropSend)
		}
	}
}
