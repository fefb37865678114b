package introducer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
)

// outcomes are what was counted so far, one line each.
func (n *Node) told() string {
	var list []string
	for k, count := range n.Outcomes() {
		list = append(list, fmt.Sprintf("%v %v to %v: %v %d", k.Strategy, k.Initiator, k.Target, k.Outcome, count))
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// failures takes the reasons that u was told of.
func (u *user) failures() string {
	var list []string
	for _, e := range u.events {
		if e.String("code") == StatusFailed {
			list = append(list, e.String("reason"))
			if e.String("advice") == "" || e.String("description") == "" || len(e.String("peer")) != 64 {
				u.net.t.Errorf("the event lacks something: %v", e)
			}
		}
	}
	u.events = nil
	return strings.Join(list, " ")
}

func TestOutcomes(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	open, home := n.site(at, "N2", 1), n.site(at, "N4", 2)
	node.outcomes = make(map[OutcomeKey]uint64)
	s := home.seek(open.id, at)
	n.wait(5 * time.Second)
	if got := node.told(); got != "public port-restricted to full-cone: quiet 1" || !s.Open() {
		t.Errorf("two that meet: %s", got)
	}

	// What a peer says counts, once for each introduction and side.
	report := func(u *user, id *flash.Identity, met bool) string {
		_, code := u.call("introduction.report", amf.String(id.PeerID().String()), amf.Boolean(met),
			amf.Object{{Name: "ms", Value: amf.Number(107)}, {Name: "text", Value: amf.String(strings.Repeat("x", 5000))}})
		return code
	}
	for _, c := range []struct {
		by   *user
		of   *flash.Identity
		code string
	}{{home, open.id, ""}, {home, open.id, ""}, {open, home.id, ""}, {home, home.id, codeNotIntroduced}, {home, identity(t, flash.IdentityOptions{}), codeNotIntroduced}} {
		if code := report(c.by, c.of, true); code != c.code {
			t.Errorf("report: %q, want %q", code, c.code)
		}
	}
	if got, want := node.told(), "public port-restricted to full-cone: quiet 1; public port-restricted to full-cone: reported-met 2"; got != want {
		t.Errorf("reported: %s, want %s", got, want)
	}
	for _, args := range [][]amf.Value{nil, {amf.String("x"), amf.Boolean(true)}, {amf.String(open.id.PeerID().String())}} {
		if _, code := home.call("introduction.report", args...); code != codeBadArguments {
			t.Errorf("report%v: %q", args, code)
		}
	}

	// They met, so another introduction is no second try.
	home.seek(open.id, at)
	if got := node.told(); strings.Contains(got, "retried") {
		t.Errorf("a reported success is a failure: %s", got)
	}
	// This one nobody reported about: asked for again, it failed.
	n.wait(retriedAfter)
	home.seek(open.id, at)
	if got := node.told(); !strings.Contains(got, "public port-restricted to full-cone: retried 1") {
		t.Errorf("retried: %s", got)
	}
	pair := node.pairs.of(home.id.PeerID(), open.id.PeerID())
	failures := func() int {
		return node.pairs.failures(n.Now(), node.peers[home.id.PeerID()], node.peers[open.id.PeerID()])
	}
	if failures() != 1 {
		t.Errorf("%d failures", failures())
	}
	// Quiet ones change nothing; reports do, and so does a relay that carried data.
	n.wait(10 * time.Second)
	if failures() != 1 {
		t.Errorf("%d failures after quiet", failures())
	}
	report(home, open.id, false)
	if failures() != 2 {
		t.Errorf("%d failures after a report", failures())
	}
	node.NoteRelayed(n.Now(), home.id.PeerID(), open.id.PeerID(), [2]uint64{1000, 0}, "idle")
	if failures() != 2 {
		t.Errorf("%d failures after a relay that nobody answered through", failures())
	}
	node.NoteRelayed(n.Now(), home.id.PeerID(), open.id.PeerID(), [2]uint64{1000, 1000}, "idle")
	if failures() != 3 || !strings.Contains(node.told(), ": relayed 1") {
		t.Errorf("%d failures after a relay; %s", failures(), node.told())
	}
	pair.trial.byTarget = false
	report(open, home.id, true)
	if failures() != 0 {
		t.Errorf("%d failures after a success", failures())
	}
}

func TestIntroductionFailed(t *testing.T) {
	n := newNetwork(t)
	n.slow(20 * time.Millisecond)
	node, at := n.probingNode(2)
	symmetric, home := n.site(at, "N5", 1), n.site(at, "N4", 2)
	deaf := n.user("198.51.100.77:5000")
	deaf.mode = rtmfp.IgnoreIntroductions
	deaf.connect(at)
	n.wait(3 * time.Second)
	nobody := identity(t, flash.IdentityOptions{})

	// Nobody is told who has not asked for it.
	home.seek(nobody, at)
	home.seek(symmetric.id, at)
	n.wait(180 * time.Second) // until it has given up, and trying again is no retry
	if got := home.failures(); got != "" {
		t.Errorf("told unasked: %s", got)
	}
	if got := node.told(); !strings.Contains(got, "punch port-restricted to symmetric-random: asked-again") {
		t.Errorf("outcomes %q", got)
	}

	for _, u := range []*user{home, symmetric} {
		if r, code := u.call("introduction.notify", amf.Boolean(true)); code != "" {
			t.Errorf("notify: %q %v", code, r)
		}
	}
	if _, code := home.call("introduction.notify", amf.String("yes")); code != codeBadArguments {
		t.Errorf("notify(string): %q", code)
	}
	home.seek(nobody, at)
	n.wait(9 * time.Second)
	if got := home.failures(); got != "unknown-peer" {
		t.Errorf("an unknown peer: %q", got)
	}
	node.peers[deaf.id.PeerID()].tenant = "other"
	home.seek(deaf.id, at)
	if got := home.failures(); got != "unknown-peer" {
		t.Errorf("a peer of another tenant: %q", got)
	}
	node.peers[deaf.id.PeerID()].tenant = DefaultTenant
	home.seek(symmetric.id, at)
	if got := home.failures(); got != "" {
		t.Errorf("told too early: %q", got)
	}
	n.wait(2 * time.Second)
	if got := home.failures(); got != "relay-needed" {
		t.Errorf("a pair for a relay: %q", got)
	}
	n.wait(10 * time.Second)
	if got := home.failures(); got != "" {
		t.Errorf("told twice: %q", got)
	}
	if _, code := home.call("introduction.notify", amf.Boolean(false)); code != "" {
		t.Errorf("notify(false): %q", code)
	}
	home.seek(nobody, at)
	if got := home.failures(); got != "" {
		t.Errorf("told after taking it back: %q", got)
	}
}
