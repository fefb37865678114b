package introducer

import (
	"net/netip"
	"testing"
	"time"

	"pileus/introducer/tenant"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/netconn"
)

// dialTenant connects with a developer key and arguments.
func (u *user) dialTenant(n *network, node string, app string, args ...amf.Value) *user {
	u.net.t.Helper()
	at := netip.MustParseAddrPort(node)
	c, err := netconn.Dial(u.engine, netconn.ClientConfig{URI: "rtmfp://" + node + "/" + app, Addrs: []netip.AddrPort{at}, Args: args}, u)
	if err != nil {
		u.net.t.Fatal(err)
	}
	u.client = c
	n.wait(200 * time.Millisecond)
	return u
}

func TestTenantsDoNotMeet(t *testing.T) {
	n := newNetwork(t)
	var events []Event
	node, _, at := n.node(Config{
		NameArg: 1,
		Tenants: tenant.New([]tenant.Config{{Name: "acme", Keys: []string{"k1", "k2"}, MaxPeers: 2}, {Name: "other", Keys: []string{"o"}}}),
		Observe: func(e Event) { events = append(events, e) },
	})
	dial := func(addr, app, name string) *user {
		return n.user(addr).dialTenant(n, at.String(), app, amf.String(name))
	}
	a, b := dial("198.51.100.1:5000", "k1/live", "ann"), dial("198.51.100.2:5000", "k2/live", "bob")
	o, d := dial("198.51.100.3:5000", "o/live", "ann"), dial("198.51.100.4:5000", "live", "ann")
	for _, u := range []*user{a, b, o, d} {
		if !u.connected {
			t.Fatal("not taken")
		}
	}
	if !a.seek(b.id, at).Open() {
		t.Error("two of one tenant do not meet")
	}
	for _, pair := range [][2]*user{{a, o}, {o, a}, {a, d}, {d, a}} {
		if pair[0].seek(pair[1].id, at).Open() {
			t.Error("two of different tenants meet")
		}
	}
	for name, u := range map[string]*user{"acme": a, "other": o, "default": d} {
		if p, found := node.Lookup(name, "ann"); !found || p.ID != u.id.PeerID() {
			t.Errorf("%s's ann is %v, %v", name, p.ID, found)
		}
	}
	if c := dial("198.51.100.5:5000", "k1/live", "cid"); c.connected {
		t.Error("one more than the tenant's limit is taken")
	}
	a.client.Close()
	n.wait(15 * time.Second)
	if c := dial("198.51.100.6:5000", "k1/live", "dan"); !c.connected {
		t.Error("who left still counts")
	}
	for _, e := range events {
		if e.Kind == PeerConnected && e.Peer.App != "live" {
			t.Errorf("the key is in the path %q", e.Peer.App)
		}
		if e.Kind == PeersIntroduced && e.Peer.Tenant != e.Target.Tenant {
			t.Error("an introduction crossed tenants")
		}
	}
	if _, err := node.Bring(nil, b.id.PeerID(), o.id.PeerID()); err == nil {
		t.Error("an operator brings two tenants together")
	}
}

func TestTokens(t *testing.T) {
	n := newNetwork(t)
	secret := []byte("0123456789abcdef")
	node, _, at := n.node(Config{Tenants: tenant.New([]tenant.Config{
		{Name: "acme", Keys: []string{"k"}, RequireToken: true, Secret: secret}, {Name: tenant.Default, Closed: true},
	})})
	text, err := tenant.Token{Tenant: "acme", App: "live", Name: "ann", Pending: 1}.Issue(secret, n.Now(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ann := n.user("198.51.100.1:5000").dialTenant(n, at.String(), "k/live", amf.String(text))
	if !ann.connected || node.Stats().Names != 1 {
		t.Errorf("connected %v, %+v", ann.connected, node.Stats())
	}
	for why, u := range map[string]*user{
		tenant.ErrSpent.Error():                           n.user("198.51.100.2:5000").dialTenant(n, at.String(), "k/live", amf.String(text)),
		tenant.ErrNoToken.Error():                         n.user("198.51.100.3:5000").dialTenant(n, at.String(), "k/live"),
		tenant.ErrMalformed.Error():                       n.user("198.51.100.4:5000").dialTenant(n, at.String(), "k/live", amf.String("x")),
		"a developer key is needed: rtmfp://host/KEY/app": n.user("198.51.100.5:5000").dialTenant(n, at.String(), "live"),
	} {
		n.wait(time.Second)
		status, ok := u.closed[0].(*netconn.StatusError)
		if u.connected || !ok || status.Code != netconn.StatusConnectRejected || status.Description != why {
			t.Errorf("%s: %v", why, u.closed)
		}
	}
	if p := node.peers[ann.id.PeerID()]; p.maxPending != 1 {
		t.Errorf("pending %d", p.maxPending)
	}
}
