package introducer

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/introducer/group"
	"pileus/introducer/tenant"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
)

// member is a client that joins groups, byte by byte as others do: a session, a
// connect, and flows of groups.
type member struct {
	net     *network
	control *flow.RecvFlow // the node's
	id      *flash.Identity
	session *rtmfp.Session
	told    []flash.PeerID
}

func (m *member) Opened(s *rtmfp.Session) {
	f, _ := s.OpenFlow(netconn.Metadata{}.Append(nil), flow.SendOptions{})
	connect := netconn.Command{Name: "connect", Transaction: 1, Object: amf.Object{{Name: "app", Value: amf.String("live")}}}
	_ = f.Write(connect.Append(nil, netconn.TypeCommand), flow.WriteOptions{})
}
func (m *member) Moved(*rtmfp.Session)                       {}
func (m *member) Closed(*rtmfp.Session, error)               {}
func (m *member) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (m *member) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }

func (m *member) Incoming(_ *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	if m.control == nil {
		m.control = f
	}
	return flow.Accept{Receiver: m}, nil
}

func (m *member) Message(f *flow.RecvFlow, b []byte) {
	if string(f.Metadata()) == "GC" && len(b) == 33 && b[0] == 0x0b {
		m.told = append(m.told, flash.PeerID(b[1:]))
	}
}
func (m *member) Ended(*flow.RecvFlow, error) {}

// member connects from an address.
func (n *network) member(at netip.AddrPort, addr string) *member {
	n.t.Helper()
	m := &member{net: n, id: identity(n.t, flash.IdentityOptions{})}
	e, _ := n.add(addr, rtmfp.Config{Identity: m.id, Handler: m, SequentialIDs: true})
	s, err := e.Open(rtmfp.Target{
		EPD: flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://x/live")}, Addrs: []netip.AddrPort{at},
	}, m)
	if err != nil {
		n.t.Fatal(err)
	}
	m.session = s
	n.wait(100 * time.Millisecond)
	return m
}

func (m *member) join(message []byte) *flow.SendFlow {
	m.net.t.Helper()
	// As librtmfp 2.15.3 sends them: 03 00 47 43, 02 0a and the control flow, 00.
	f, err := m.session.OpenFlow([]byte{0x47, 0x43}, flow.SendOptions{ReturnOf: m.control})
	if err == nil {
		err = f.Write(message, flow.WriteOptions{})
	}
	if err != nil {
		m.net.t.Fatal(err)
	}
	m.net.wait(100 * time.Millisecond)
	return f
}

func hashedJoin(spec string) []byte {
	id := sha256.Sum256([]byte(spec))
	return append([]byte{0x01, 0x21, 0x15}, id[:]...)
}

func plainJoin(spec string) []byte {
	return append([]byte{0x01, byte(len(spec) + 1), 0x10}, spec...)
}

func TestGroups(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	a, b, c := n.member(at, "198.51.100.1:5000"), n.member(at, "198.51.100.2:5000"), n.member(at, "198.51.100.3:5000")
	a.join(hashedJoin("spec"))
	inB := b.join(plainJoin("spec")) // an old client's form, the same group
	if !slices.Contains(a.told, b.id.PeerID()) || !slices.Contains(b.told, a.id.PeerID()) {
		t.Error("two members were not told of each other")
	}
	c.join(hashedJoin("another"))
	c.join([]byte{1, 2, 3})
	if len(c.told) > 0 {
		t.Error("groups are mixed up")
	}
	if g, _ := node.GroupInfos(0, 10); len(g) != 2 || g[0].Members+g[1].Members != 3 {
		t.Errorf("%+v", g)
	}
	// Healing tells again, and nobody of itself.
	before := len(a.told)
	n.wait(5 * time.Second)
	if len(a.told) <= before || slices.Contains(a.told, a.id.PeerID()) {
		t.Errorf("a was told %d times", len(a.told))
	}
	inB.Close()
	n.wait(time.Second)
	a.told = nil
	n.wait(5 * time.Second)
	if len(a.told) > 0 {
		t.Error("told of one that left")
	}
	a.session.Close()
	c.session.Close()
	n.wait(30 * time.Second)
	if g, _ := node.GroupInfos(0, 10); len(g) > 0 || !node.groups.Empty() {
		t.Errorf("left behind: %+v", g)
	}
}

// Who does not get into a group is counted, by reason.
func TestGroupRefusalsAreCounted(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{Tenants: tenant.New([]tenant.Config{{Name: "default", MaxGroups: group.MaxJoined - 1}})})
	a := n.member(at, "198.51.100.1:5000")
	for i := range group.MaxJoined {
		a.join(hashedJoin(fmt.Sprint(i))) // the last is one more than its tenant may have
	}
	a.join(hashedJoin("0")) // again
	a.join(hashedJoin("1")) // one flow too many
	a.join([]byte{1, 2, 3})
	var want [NumGroupRefusals]uint64
	want[GroupTenant], want[GroupJoined] = 1, 2
	if got := node.Stats().GroupRefused; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	n.member(at, "198.51.100.2:5000").join([]byte{1, 2, 3})
	stranger := n.member(at, "198.51.100.3:5000")
	delete(node.peers, stranger.id.PeerID()) // as with a certificate that proves nothing
	stranger.join(hashedJoin("0"))
	want[GroupMalformed], want[GroupNoClient] = 1, 1
	if got := node.Stats().GroupRefused; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// A client may have half of all memberships, its share of the rest, and others find
// theirs; where all are taken nobody gets one until there is room again.
func TestGroupLimits(t *testing.T) {
	n := newNetwork(t)
	limits := DefaultLimits()
	limits.Memberships = 40
	node, _, at := n.node(Config{Limits: &limits})
	a, b := n.member(at, "198.51.100.1:5000"), n.member(at, "203.0.113.1:5000")
	flows := make([]*flow.SendFlow, 30)
	for i := range flows {
		flows[i] = a.join(hashedJoin(fmt.Sprint(i)))
	}
	if got := node.Stats(); got.GroupRefused[GroupShare] != 9 || got.GroupRefused[GroupNode] != 0 || got.Shared[SharedMemberships].Held != 21 {
		t.Errorf("one client has %d memberships, %v", got.Shared[SharedMemberships].Held, got.GroupRefused)
	}
	b.join(hashedJoin("0"))
	if len(b.told) != 1 {
		t.Error("another got into no group")
	}
	var others share.Holder
	for range 18 {
		others.Hold(node.ledger, netip.MustParseAddr("192.0.2.1"), int(SharedMemberships))
	}
	b.join(hashedJoin("1"))
	if got := node.Stats().GroupRefused; got[GroupNode] != 1 || len(b.told) != 1 {
		t.Errorf("one more than all: %v", got)
	}
	others.Give(int(SharedMemberships))
	flows[5].Close()
	n.wait(time.Second)
	if got := node.Stats().Shared[SharedMemberships].Held; got != 38 {
		t.Errorf("%d memberships when one has left", got)
	}
	if c := n.member(at, "192.168.1.1:5000"); node.Stats().GroupRefused[GroupNode] == 1 {
		if c.join(hashedJoin("1")); len(c.told) != 1 {
			t.Error("still refused when there is room")
		}
	}
}

// What counts for a group is given back with its last member.
func TestGroupsLeaveNothing(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{Tenants: tenant.New([]tenant.Config{{Name: "default", MaxGroups: 20}})})
	a, b := n.member(at, "198.51.100.1:5000"), n.member(at, "203.0.113.1:5000")
	for i := range 22 {
		a.join(hashedJoin(fmt.Sprint(i)))
	}
	b.join(hashedJoin("0"))
	if s := node.Stats(); s.GroupRefused[GroupTenant] != 2 || s.Shared[SharedGroups].Held != 20 || s.Shared[SharedMemberships].Held != 21 {
		t.Errorf("%v, %d groups, %d memberships", s.GroupRefused, s.Shared[SharedGroups].Held, s.Shared[SharedMemberships].Held)
	}
	a.session.Close()
	n.wait(time.Second)
	if got := node.Stats().Shared[SharedGroups].Held; got != 1 {
		t.Errorf("%d groups when one is left", got)
	}
	b.session.Close()
	n.wait(time.Second)
	if len(node.tenants) != 0 || node.ledger.Places() != 0 {
		t.Errorf("%d tenants and %d prefixes are left", len(node.tenants), node.ledger.Places())
	}
}

func TestMessagesBetweenClients(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	a, b := n.user("198.51.100.1:5000").connect(at), n.user("198.51.100.2:5000").connect(at)
	id := amf.String(b.id.PeerID().String())
	if _, code := a.call("relay", id, amf.String("hello")); code != "" || len(b.commands) != 1 {
		t.Fatalf("%q, %v", code, b.commands)
	}
	info, _ := b.commands[0].Args.Object(0)
	if text, _ := b.commands[0].Args.String(1); b.commands[0].Name != "onRelay" || text != "hello" || info.String("sender") != a.id.PeerID().String() {
		t.Errorf("%+v", b.commands[0])
	}
	if _, code := a.call("relay", amf.String(flash.PeerID{1}.String()), amf.Null{}); code != codeNoPeer {
		t.Errorf("to nobody: %q", code)
	}
	if _, code := a.call("relay", amf.String("x")); code != codeBadArguments {
		t.Errorf("to no peer ID: %q", code)
	}
	if _, code := a.call("broadcast", amf.Number(1)); code != "" || len(b.commands) != 2 || len(a.commands) != 1 {
		t.Errorf("broadcast: %q, %d, %d", code, len(a.commands), len(b.commands))
	}
	limited := 0
	const long = 10_000
	text := amf.String(strings.Repeat("x", long))
	most := messageBurst*node.limits.ReceiverBytes/2/long + 2 // one sender has half of what its receiver may get at once
	for range 2 * most {
		if _, err := node.rpcRelay(node.peers[a.id.PeerID()], call{amf.Args{id, text}, long}); err != nil {
			limited++
		}
		n.wait(0)
	}
	if limited < most-5 || limited > most+20 || node.Stats().Messages == 0 {
		t.Errorf("%d of %d are refused: %+v", limited, 2*most, node.Stats().MessageRefused)
	}
	n.wait(10 * time.Second)
	a.commands = nil
	if _, code := a.call("watch", id); code != "" || len(a.commands) > 0 {
		t.Errorf("watch: %q, %v", code, a.commands)
	}
	b.client.Close()
	n.wait(time.Second)
	gone := func() bool {
		text, _ := a.commands[0].Args.String(0)
		return len(a.commands) == 1 && a.commands[0].Name == "onDisconnected" && text == string(id)
	}
	if len(a.commands) == 0 || !gone() {
		t.Fatalf("after it went: %v", a.commands)
	}
	a.commands = nil
	if _, code := a.call("watch", id); code != "" || len(a.commands) == 0 || !gone() {
		t.Errorf("watch of one that is not there: %q %v", code, a.commands)
	}
	if p := node.peers[a.id.PeerID()]; len(p.messenger.follows) > 0 || len(node.followers) > 0 {
		t.Error("it still follows")
	}
}
