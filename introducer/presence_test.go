package introducer

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/share"
)

// heard takes the onPresence events that u got, as "event name".
func (u *user) heard(ids map[string]string) string {
	var list []string
	for _, c := range u.commands {
		info, _ := c.Args.Object(0)
		who := ids[info.String("peerID")]
		if c.Name != "onPresence" || who == "" {
			list = append(list, "unexpected "+c.Name)
			continue
		}
		list = append(list, fmt.Sprintf("%s %s %s", info.String("name"), info.String("event"), who))
	}
	u.commands = nil
	return strings.Join(list, ", ")
}

func TestPresence(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	alice := n.user("198.51.100.1:5000").connect(at)
	bob := n.user("203.0.113.1:6000").connect(at)
	carol := n.user("203.0.113.2:6000").connect(at)
	ids := map[string]string{alice.id.PeerID().String(): "alice", bob.id.PeerID().String(): "bob", carol.id.PeerID().String(): "carol"}
	name := amf.String("Alice ü")

	if _, code := bob.call("presence.lookup", name); code != codeNotFound {
		t.Errorf("lookup of nobody: %q", code)
	}
	if r, code := bob.call("presence.watch", name); code != "" || !amf.IsNull(r.Get("peerID")) {
		t.Errorf("watch of nobody: %q, %v", code, r)
	}
	if r, code := alice.call("presence.register", name); code != "" || r.String("peerID") != alice.id.PeerID().String() {
		t.Errorf("register: %q, %v", code, r)
	}
	if _, code := alice.call("presence.register", name); code != "" {
		t.Errorf("register again: %q", code)
	}
	if got := bob.heard(ids); got != "Alice ü came alice" {
		t.Errorf("bob heard %q", got)
	}
	if r, code := bob.call("presence.lookup", name); code != "" || r.String("peerID") != alice.id.PeerID().String() {
		t.Errorf("lookup: %q, %v", code, r)
	}
	if r, code := carol.call("presence.watch", name); code != "" || r.String("peerID") != alice.id.PeerID().String() {
		t.Errorf("watch: %q, %v", code, r)
	}
	if _, code := carol.call("presence.register", name); code != codeTaken {
		t.Errorf("register a taken name: %q", code)
	}
	if _, code := carol.call("presence.unregister", name); code != codeNotFound {
		t.Errorf("unregister somebody else's name: %q", code)
	}
	if _, code := carol.call("presence.unwatch", name); code != "" {
		t.Errorf("unwatch: %q", code)
	}

	// The name goes with its session.
	alice.client.Close()
	n.wait(time.Second)
	if got := bob.heard(ids); got != "Alice ü went alice" {
		t.Errorf("bob heard %q", got)
	}
	if got := carol.heard(ids); got != "" {
		t.Errorf("carol heard %q", got)
	}
	if _, code := carol.call("presence.register", name); code != "" {
		t.Errorf("register a name that is free again: %q", code)
	}
	if _, code := carol.call("presence.unregister", name); code != "" {
		t.Errorf("unregister: %q", code)
	}
	if got := bob.heard(ids); got != "Alice ü came carol, Alice ü went carol" {
		t.Errorf("bob heard %q", got)
	}
	bob.client.Close()
	carol.client.Close()
	n.wait(time.Second)
	if s := node.Stats(); s.Names != 0 || s.Watches != 0 || len(node.tenants) != 0 {
		t.Errorf("left behind: %+v, %d tenants", s, len(node.tenants))
	}
}

func TestPresenceList(t *testing.T) {
	n := newNetwork(t)
	node, e, at := n.node(Config{})
	u := n.user("203.0.113.1:6000").connect(at)
	other := n.user("203.0.113.1:6001").connect(at)
	for i := range maxListPage + 20 {
		p := &Peer{session: node.peers[u.id.PeerID()].session, tenant: DefaultTenant}
		if _, err := node.realm(DefaultTenant).register(p, fmt.Sprintf("room/%03d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	node.realm(DefaultTenant).register(node.peers[u.id.PeerID()], "zoe", nil)
	_ = e
	count := func(args ...amf.Value) string {
		t.Helper()
		r, code := other.call("presence.list", args...)
		if code != "" {
			return code
		}
		names, _ := r.Get("names").(amf.Array)
		if len(names) == 0 {
			return "none"
		}
		first, _ := amf.Members(names[0])
		last, _ := amf.Members(names[len(names)-1])
		return fmt.Sprintf("%d %s to %s, more %v", len(names), first.String("name"), last.String("name"), r.Boolean("more"))
	}
	for _, c := range []struct {
		want string
		args []amf.Value
	}{
		{"100 room/000 to room/099, more true", nil},
		{"100 room/000 to room/099, more true", []amf.Value{amf.String("room/")}},
		{"20 room/100 to room/119, more false", []amf.Value{amf.String("room/"), amf.String("room/099")}},
		{"21 room/100 to zoe, more false", []amf.Value{amf.Null{}, amf.String("room/099")}},
		{"10 room/110 to room/119, more false", []amf.Value{amf.String("room/11")}},
		{"1 zoe to zoe, more false", []amf.Value{amf.String("z")}},
		{"none", []amf.Value{amf.String("x")}},
		{"none", []amf.Value{amf.String("a"), amf.String("z")}},
		{codeBadArguments, []amf.Value{amf.Number(1)}},
	} {
		if got := count(c.args...); got != c.want {
			t.Errorf("list%v: %s, want %s", c.args, got, c.want)
		}
	}
	if p, found := node.Lookup(DefaultTenant, "zoe"); !found || p.ID != u.id.PeerID() {
		t.Errorf("Lookup: %v %v", p, found)
	}
	if list, more := node.Names(DefaultTenant, "room/", ""); len(list) != maxListPage || !more {
		t.Errorf("Names: %d, more %v", len(list), more)
	}
}

// Names, watches and events stay within one tenant, and so do introductions.
func TestTenantsApart(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	alice := n.user("198.51.100.1:5000").connect(at)
	bob := n.user("203.0.113.1:6000").connect(at)
	node.peers[bob.id.PeerID()].tenant = "other"
	name := amf.String("alice")
	bob.call("presence.watch", name)
	alice.call("presence.register", name)
	if len(bob.commands) > 0 {
		t.Errorf("bob heard of another tenant's peer: %v", bob.commands)
	}
	if _, code := bob.call("presence.lookup", name); code != codeNotFound {
		t.Errorf("lookup: %q", code)
	}
	if r, _ := bob.call("presence.list"); len(r.Get("names").(amf.Array)) != 0 {
		t.Errorf("list: %v", r)
	}
	if _, code := bob.call("presence.register", name); code != "" {
		t.Errorf("register: %q", code)
	}
	if s := bob.seek(alice.id, at); s.Open() {
		t.Error("introduced across tenants")
	}
	if s := node.Stats(); s.Unknown == 0 || s.Introduced != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPresenceBounds(t *testing.T) {
	node := New(Config{})
	r := node.realm(DefaultTenant)
	key := func(i int) string { return fmt.Sprint("name ", i) }
	one := &Peer{session: &rtmfp.Session{}}
	for i := range maxNamesPerPeer + 1 {
		_, err := r.register(one, key(i), nil)
		if full := i >= maxNamesPerPeer; full != (err != nil) || err != nil && err.code != codeTooMany {
			t.Errorf("name %d: %v", i, err)
		}
	}
	for i := range maxWatchesPerPeer + 1 {
		err := r.watch(one, key(i))
		if full := i >= maxWatchesPerPeer; full != (err != nil) || err != nil && err.code != codeTooMany {
			t.Errorf("watch %d: %v", i, err)
		}
	}
	// All together have so many, and no more.
	var others share.Holder
	for range node.limits.Names - maxNamesPerPeer {
		others.Hold(r.ledger, netip.Addr{}, SharedNames.ofTenant())
	}
	for range node.limits.Watches - maxWatchesPerPeer {
		others.Hold(r.ledger, netip.Addr{}, SharedWatches.ofTenant())
	}
	two := &Peer{session: one.session}
	if _, err := r.register(two, "one more", nil); err == nil || err.code != codeTooMany {
		t.Errorf("the tenant's last name and one more: %v", err)
	}
	if err := r.watch(two, "one more"); err == nil || err.code != codeTooMany {
		t.Errorf("the tenant's last watch and one more: %v", err)
	}
	// A name that passes takes no place.
	if _, err := r.register(two, key(0), func(*Peer) bool { return true }); err != nil {
		t.Errorf("a name that passes: %v", err)
	}
	if s := node.shared(); s[SharedNames].Held != int64(node.limits.Names) || s[SharedNames].OverAll != 1 || s[SharedWatches].OverAll != 1 {
		t.Errorf("%+v, %+v", s[SharedNames], s[SharedWatches])
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"alice": true, "Älice 日本 🙂": true, "a/b": true, strings.Repeat("x", maxNameBytes): true, "👩‍👩‍👧": true,
		"": false, strings.Repeat("x", maxNameBytes+1): false, "a\nb": false, "a\x00": false, "a\x7f": false, "a\u0085": false,
		"\xff": false, "a\u202eb": false, "a\u2028b": false, strings.Repeat("0f", 32): false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", name, err, ok)
		}
	}
}

// A name that is held passes on only to who has the same peer ID, or when its
// holder seems dead.
func TestNamePassesOn(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{NameArg: 2})
	named := func(u *user, name amf.Value) *user {
		u.args = []amf.Value{amf.String("token"), name}
		return u.connect(at)
	}
	alice := named(n.user("198.51.100.1:5000"), amf.String("alice"))
	watcher := n.user("203.0.113.1:6000").connect(at)
	if r, _ := watcher.call("presence.watch", amf.String("alice")); r.String("peerID") != alice.id.PeerID().String() {
		t.Fatalf("the argument of connect is not her name: %v", r)
	}
	impostor := named(n.user("203.0.113.2:6000"), amf.String("alice"))
	if len(impostor.events) != 1 || impostor.events[0].String("code") != codeTaken || !impostor.connected {
		t.Errorf("the impostor was told %v", impostor.events)
	}
	// Other kinds of arguments are no names.
	for _, v := range []amf.Value{amf.Number(1), amf.Null{}, amf.String("")} {
		u := named(n.user("203.0.113.3:6000"), v)
		if len(u.events) != 0 {
			t.Errorf("%v: %v", v, u.events)
		}
		n.Cut(u.engine)
	}

	// The same peer again, from elsewhere.
	again := n.user("198.51.100.1:5001")
	again.engine, again.addr = n.add("198.51.100.1:5002", rtmfp.Config{Identity: alice.id, Handler: again})
	again.id = alice.id
	named(again, amf.String("alice"))
	if len(alice.events) != 1 || alice.events[0].String("code") != codeLost || len(again.events) != 0 {
		t.Errorf("the older session was told %v, the newer %v", alice.events, again.events)
	}
	ids := map[string]string{alice.id.PeerID().String(): "alice", impostor.id.PeerID().String(): "impostor"}
	if got := watcher.heard(ids); got != "alice changed alice" {
		t.Errorf("the watcher heard %q", got)
	}
	alice.client.Close()
	n.wait(time.Second)
	if p, found := node.Lookup(DefaultTenant, "alice"); !found || p.ID != alice.id.PeerID() {
		t.Error("the older session took the name with it")
	}

	// Out of the network without a word.
	n.Cut(again.engine)
	n.wait(2 * defaultServerKeepalive)
	if _, code := impostor.call("presence.register", amf.String("alice")); code != codeTaken {
		t.Errorf("after two keepalives: %q", code)
	}
	n.wait(defaultServerKeepalive + time.Second)
	if _, code := impostor.call("presence.register", amf.String("alice")); code != "" {
		t.Errorf("after three keepalives: %q", code)
	}
	if got := watcher.heard(ids); got != "alice changed impostor" {
		t.Errorf("the watcher heard %q", got)
	}
}

func TestCalls(t *testing.T) {
	n := newNetwork(t)
	node, _, at := n.node(Config{})
	u := n.user("203.0.113.1:6000").connect(at)
	for _, c := range []struct{ name, want string }{
		{"presence.lookup", codeBadArguments},
		{"presence.register", codeBadArguments},
		{"presence.watch", codeBadArguments},
		{"presence.nothing", netconn.StatusCallFailed},
		{"getStreamLength", netconn.StatusCallFailed},
	} {
		if _, code := u.call(c.name); code != c.want {
			t.Errorf("%s: %q, want %q", c.name, code, c.want)
		}
	}
	failed := 0
	for range 2 * callBurst {
		if err := u.client.Call("presence.lookup", func(_ amf.Args, err error) {
			if status, ok := err.(*netconn.StatusError); ok && status.Code == codeTooFast {
				failed++
			}
		}, amf.String("x")); err != nil {
			n.wait(time.Millisecond)
		}
	}
	n.wait(time.Second)
	if failed == 0 || node.Stats().CallsFailed == 0 {
		t.Error("any number of calls is answered")
	}
}

// Who cannot be found by ID has no name either.
func TestNoNameForEphemeralCertificate(t *testing.T) {
	n := newNetwork(t)
	_, _, at := n.node(Config{})
	u := n.user("203.0.113.1:6000")
	id := identity(t, flash.IdentityOptions{Ephemeral: []flash.Group{flash.Group2}})
	u.engine, u.addr = n.add("203.0.113.1:6001", rtmfp.Config{Identity: id, Handler: u})
	u.connect(at)
	if _, code := u.call("presence.register", amf.String("alice")); code != codeUnproven {
		t.Errorf("%q", code)
	}
}
