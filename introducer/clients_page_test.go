package introducer

import (
	"encoding/hex"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// script is a client that sends what ActionScript makes of its lines, byte by
// byte.
type script struct {
	out   *flow.SendFlow
	heard []string
}

func (c *script) Opened(s *rtmfp.Session) {
	c.out, _ = s.OpenFlow(netconn.Metadata{}.Append(nil), flow.SendOptions{})
}
func (c *script) Moved(*rtmfp.Session)                       {}
func (c *script) Closed(*rtmfp.Session, error)               {}
func (c *script) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (c *script) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }
func (c *script) Ended(*flow.RecvFlow, error)                {}
func (c *script) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: c}, nil
}

func (c *script) Message(_ *flow.RecvFlow, b []byte) {
	m, err := netconn.ParseMessage(b)
	if err != nil || m.Type != netconn.TypeCommand && m.Type != netconn.TypeCommandExtended {
		return
	}
	if cmd, err := netconn.ParseCommand(m); err == nil {
		info, _ := cmd.Args.Object(0)
		c.heard = append(c.heard, strings.TrimSpace(cmd.Name+" "+info.String("code")))
	}
}

// spoken are the lines of CLIENTS.md that send something, as the bytes of Flash's
// messages (type 0x11, format 0, AMF0) and what is to come back. PEER is bob's ID.
var spoken = []struct{ line, bytes, back string }{
	{
		`nc.connect("rtmfp://node.example/app", "alice");`,
		"1400000000 020007636f6e6e656374 003ff0000000000000 0300036170700200036170700005746355726c02001872746d66703a2f2f6e6f64652e6578616d706c652f617070000e6f626a656374456e636f64696e67004008000000000000000009 020005616c696365",
		"_result NetConnection.Connect.Success",
	},
	{
		`nc.call("presence.register", responder, "alice");`,
		"110000000000 02001170726573656e63652e7265676973746572 004000000000000000 05 020005616c696365",
		"_result",
	},
	{
		`nc.call("presence.lookup", responder, "bob");`,
		"110000000000 02000f70726573656e63652e6c6f6f6b7570 004008000000000000 05 020003626f62",
		"_result",
	},
	{
		`nc.call("presence.watch", responder, "bob");`,
		"110000000000 02000e70726573656e63652e7761746368 004010000000000000 05 020003626f62",
		"_result",
	},
	{
		`nc.call("relay", null, peerID, "hello");`,
		"110000000000 02000572656c6179 000000000000000000 05 020040PEER 02000568656c6c6f",
		"",
	},
	{
		`nc.call("broadcast", null, "hello all");`,
		"110000000000 02000962726f616463617374 000000000000000000 05 02000968656c6c6f20616c6c",
		"onRelay",
	},
	{
		`nc.call("watch", null, peerID);`,
		"110000000000 0200057761746368 000000000000000000 05 020040PEER",
		"",
	},
	{
		`nc.call("introduction.notify", responder, true);`,
		"110000000000 020013696e74726f64756374696f6e2e6e6f74696679 004014000000000000 05 0101",
		"_result",
	},
	{
		`nc.call("introduction.explain", responder, peerID);`,
		"110000000000 020014696e74726f64756374696f6e2e6578706c61696e 004018000000000000 05 020040PEER",
		"_error Pileus.Introduction.Unknown",
	},
	{
		`nc.call("introduction.report", responder, peerID, true);`,
		"110000000000 020013696e74726f64756374696f6e2e7265706f7274 00401c000000000000 05 020040PEER 0101",
		"_error Pileus.Introduction.Unknown",
	},
}

// The ActionScript of the page for client developers works: a client that sends
// its bytes gets the answers that the page names.
func TestClientsPageInActionScript(t *testing.T) {
	n := newNetwork(t)
	_, _, at := n.node(Config{NameArg: 1})
	bob := n.user("198.51.100.2:5000").connect(at)
	if _, code := bob.call("presence.register", amf.String("bob")); code != "" {
		t.Fatal(code)
	}
	c := &script{}
	e, _ := n.add("198.51.100.1:5000", rtmfp.Config{Identity: identity(t, flash.IdentityOptions{}), Handler: c, SequentialIDs: true})
	if _, err := e.Open(rtmfp.Target{
		EPD: flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://node.example/app")}, Addrs: []netip.AddrPort{at},
	}, c); err != nil {
		t.Fatal(err)
	}
	n.wait(100 * time.Millisecond)
	said := map[string]bool{}
	for _, s := range spoken {
		said[s.line] = true
		message, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(s.bytes, " ", ""), "PEER", hex.EncodeToString([]byte(bob.id.PeerID().String()))))
		if err != nil {
			t.Fatal(err)
		}
		c.heard, bob.commands = nil, nil
		if err := c.out.Write(message, flow.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		n.wait(200 * time.Millisecond)
		if got := strings.Join(c.heard, ", "); got != s.back {
			t.Errorf("%s\n got %q, want %q", s.line, got, s.back)
		}
		if strings.Contains(s.line, "hello") && (len(bob.commands) != 1 || bob.commands[0].Name != "onRelay") {
			t.Errorf("%s\nbob got %v", s.line, bob.commands)
		}
	}
	found := 0
	for _, line := range strings.Split(blocks(t, "actionscript"), "\n") {
		line, _, _ = strings.Cut(line, " //")
		if line = strings.TrimSpace(line); strings.Contains(line, "nc.c") && !strings.Contains(line, "nc.client") {
			found++
			if !said[line] {
				t.Errorf("not tested: %s", line)
			}
		}
	}
	if found != len(spoken) {
		t.Errorf("the page has %d lines that send something, want %d", found, len(spoken))
	}
}

// The Go of the page is that of the example, which runs.
func TestClientsPageInGo(t *testing.T) {
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if code := blocks(t, "go"); len(code) < 1000 || !strings.Contains(string(example), strings.TrimSpace(code)) {
		t.Error("CLIENTS.md and example_test.go differ: copy what is between guest and node")
	}
}

// blocks are the page's code in a language.
func blocks(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../configs/CLIENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		code.WriteString(m[1])
	}
	return code.String()
}
