package introducer

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// bare is a client that writes its messages byte by byte.
type bare struct {
	net     *network
	id      *flash.Identity
	session *rtmfp.Session
	control *flow.SendFlow
	got     []netconn.Command
	app     string
	args    []byte // of connect
}

func (b *bare) Opened(s *rtmfp.Session) {
	b.control, _ = s.OpenFlow(netconn.Metadata{}.Append(nil), flow.SendOptions{})
	connect := netconn.Command{Name: "connect", Transaction: 1, Object: amf.Object{{Name: "app", Value: amf.String(b.app)}}}
	_ = b.control.Write(append(connect.Append(nil, netconn.TypeCommand), b.args...), flow.WriteOptions{})
}
func (*bare) Moved(*rtmfp.Session)                       {}
func (*bare) Closed(*rtmfp.Session, error)               {}
func (*bare) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (*bare) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }
func (*bare) Ended(*flow.RecvFlow, error)                {}
func (b *bare) Incoming(_ *rtmfp.Session, _ *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: b}, nil
}

func (b *bare) Message(_ *flow.RecvFlow, msg []byte) {
	m, err := netconn.ParseMessage(msg)
	if err != nil {
		b.net.t.Error(err)
	}
	if c, err := netconn.ParseCommand(m); err == nil {
		b.got = append(b.got, c)
	}
}

func (n *network) bare(at netip.AddrPort, addr string) *bare {
	n.t.Helper()
	b := n.bareOf(at, addr, "app", nil)
	b.got = nil
	return b
}

func (n *network) bareOf(at netip.AddrPort, addr, app string, args []byte) *bare {
	n.t.Helper()
	return n.bareAs(at, addr, app, args, identity(n.t, flash.IdentityOptions{}))
}

// call sends a command whose arguments are bytes, and gives the code of the answer, "" of
// a result.
func (b *bare) call(name string, args []byte) (code string) {
	b.net.t.Helper()
	msg := netconn.Message{Type: netconn.TypeCommand, Payload: append(amf.Append(nil, amf.String(name), amf.Number(7), amf.Null{}), args...)}
	if err := b.control.Write(msg.Append(nil), flow.WriteOptions{}); err != nil {
		b.net.t.Fatal(err)
	}
	b.net.wait(200 * time.Millisecond)
	code = "no answer"
	for _, c := range b.got {
		switch info, _ := c.Args.Object(0); {
		case c.Transaction != 7:
		case c.Name == "_error":
			code = info.String("code")
		case c.Name == "_result":
			code = ""
		}
	}
	b.got = nil
	return code
}

// references is an array of a text and so many references to another with it, as AMF0 has
// them: each is written out again where nothing knows references. The array is the so
// manyth of the message that can be referred to.
func references(at byte, text, count int) []byte {
	b := amf.Append(nil, amf.Array{amf.String(strings.Repeat("x", text))})
	b = append(b, 0x0a, 0, 0, byte(count>>8), byte(count))
	for range count {
		b = append(b, 0x07, 0, at)
	}
	return b
}

// A message counts as it is written out to who gets it: what references make large is
// refused, with words for who sent it, and nobody gets anything of it.
func TestMessagesCountAsWrittenOut(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	a := n.bare(at, "198.51.100.1:5000")
	b := n.user("203.0.113.1:6000").connect(at)
	to := amf.Append(nil, amf.String(b.id.PeerID().String()))
	sent := 0
	n.watch = func(_, to netip.AddrPort, data []byte) {
		if to == b.addr {
			sent += len(data)
		}
	}
	nested := references(0, 100, 10)
	for i := range 6 {
		nested = append(nested, 0x0a, 0, 0, 0, 9)
		for range 9 {
			nested = append(nested, 0x07, 0, byte(1+i))
		}
	}
	for name, c := range map[string]struct {
		call string
		args []byte
		want string
	}{
		"as the report has it":   {"relay", append(bytes.Clone(to), references(0, 600, 95)...), codeTooLarge},
		"to all":                 {"broadcast", references(0, 600, 95), codeTooLarge},
		"nested":                 {"broadcast", nested[:min(len(nested), 4000)], "no answer"}, // more than any parser takes
		"small, and still large": {"broadcast", references(0, 100, 40), codeTooLarge},
		"plain, and large":       {"broadcast", amf.Append(nil, amf.String(strings.Repeat("x", 17<<10))), codeTooLarge},
		"a few references":       {"broadcast", references(0, 300, 3), ""},
		"plain, as large as may": {"broadcast", amf.Append(nil, amf.String(strings.Repeat("x", 16000))), ""},
		"plain":                  {"relay", append(bytes.Clone(to), amf.Append(nil, amf.String("hello"))...), ""},
	} {
		sent, b.commands = 0, nil
		if got := a.call(c.call, c.args); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		in := len(c.args) + 100
		if c.want != "" && (len(b.commands) > 0 || sent > 500) {
			t.Errorf("%s: %d bytes brought %d messages of %d bytes", name, len(c.args), len(b.commands), sent)
		}
		if sent > 4*in+1024+500 {
			t.Errorf("%s: %d bytes in, %d out", name, in, sent)
		}
		n.wait(10 * time.Second)
	}
	if got := node.Stats().MessageRefused[MessageTooLarge]; got != 4 {
		t.Errorf("%d are counted as too large", got)
	}
}
