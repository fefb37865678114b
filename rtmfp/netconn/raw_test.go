package netconn_test

import (
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

// raw is a client whose every byte the test decides.
type raw struct {
	*party
	session *rtmfp.Session
	in      []*flow.RecvFlow
}

func newRaw(t *testing.T, n *memnet.Network, addr string) *raw {
	t.Helper()
	r := &raw{}
	r.party = newParty(t, n, addr, flash.IdentityOptions{Static: []flash.Group{flash.Group2}}, refuse{})
	r.do(func(e *rtmfp.Engine) {
		var err error
		r.session, err = e.Open(rtmfp.Target{
			EPD:   flash.EPD{Ancillary: []byte(nodeURI), HasAncillary: true},
			Addrs: []netip.AddrPort{netip.MustParseAddrPort(nodeAddr)},
		}, r)
		if err != nil {
			t.Error(err)
		}
	})
	settle(200 * time.Millisecond)
	return r
}

type refuse struct{}

func (refuse) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (refuse) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }

func (r *raw) Opened(*rtmfp.Session)                {}
func (r *raw) Moved(*rtmfp.Session)                 {}
func (r *raw) Closed(_ *rtmfp.Session, err error)   { r.add("session closed: %v", err) }
func (r *raw) Ended(_ *flow.RecvFlow, err error)    { r.add("ended: %v", err) }
func (r *raw) Writable(*flow.SendFlow)              {}
func (r *raw) Exception(_ *flow.SendFlow, c uint64) { r.add("exception %d", c) }

func (r *raw) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	r.in = append(r.in, f)
	return flow.Accept{Receiver: r}, nil
}

// Message notes commands and events in one line each.
func (r *raw) Message(f *flow.RecvFlow, msg []byte) {
	md, err := netconn.ParseMetadata(f.Metadata())
	if err != nil {
		r.t.Error(err)
	}
	m, err := netconn.ParseMessage(msg)
	if err != nil {
		r.t.Error(err)
	}
	switch m.Type {
	case netconn.TypeCommand, netconn.TypeCommandExtended:
		c, err := netconn.ParseCommand(m)
		if err != nil {
			r.t.Error(err)
		}
		var arg any = c.Args.At(0)
		if o, ok := c.Args.Object(0); ok {
			arg = o.String("code")
		}
		r.add("%d: %#x %s %v %v", md.StreamID, uint8(m.Type), c.Name, c.Transaction, arg)
	default:
		r.add("%d: %#x %x", md.StreamID, uint8(m.Type), m.Payload)
	}
}

// rawEvents are the events of one of raw's flows.
type rawEvents struct{ *raw }

func (e rawEvents) Closed(_ *flow.SendFlow, err error) { e.add("flow closed: %v", err) }

// open opens a flow. returnOf is the number of the flow it answers, or -1.
func (r *raw) open(metadata []byte, returnOf int) (f *flow.SendFlow) {
	r.t.Helper()
	r.do(func(*rtmfp.Engine) {
		o := flow.SendOptions{Events: rawEvents{r}}
		if returnOf >= 0 {
			if returnOf >= len(r.in) {
				r.t.Errorf("only %d flows have come", len(r.in))
				return
			}
			o.ReturnOf = r.in[returnOf]
		}
		var err error
		if f, err = r.session.OpenFlow(metadata, o); err != nil {
			r.t.Error(err)
		}
	})
	return f
}

// send writes messages and lets them arrive.
func (r *raw) send(f *flow.SendFlow, messages ...[]byte) {
	r.t.Helper()
	r.do(func(*rtmfp.Engine) {
		for _, m := range messages {
			if err := f.Write(m, flow.WriteOptions{}); err != nil {
				r.t.Error(err)
			}
		}
	})
	settle(200 * time.Millisecond)
}

// control is the metadata of a flow of the NetConnection.
func control() []byte { return netconn.Metadata{}.Append(nil) }

func stream(id uint32) []byte { return netconn.Metadata{StreamID: id}.Append(nil) }

// command encodes a command of type 0x14.
func command(name string, transaction float64, values ...amf.Value) []byte {
	b := netconn.Message{Type: netconn.TypeCommand}.Append(nil)
	b = amf.Append(b, amf.String(name), amf.Number(transaction))
	return amf.Append(b, values...)
}

// connected is a raw client after its connect, and its control flow.
func connected(t *testing.T, n *memnet.Network, properties ...amf.Member) (*raw, *flow.SendFlow) {
	t.Helper()
	r := newRaw(t, n, aliceAddr)
	f := r.open(control(), -1)
	r.send(f, command("connect", 1, amf.Object(properties)))
	r.take()
	return r, f
}
