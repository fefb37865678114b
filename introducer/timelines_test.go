package introducer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// A watch shows an introduction from both sides, goes on when its peer comes
// back, and ends by itself or by order.
func TestTimelines(t *testing.T) {
	n := newNetwork(t)
	node, e, at := n.node(Config{})
	alice, bob := n.user("198.51.100.1:5000").connect(at), n.user("203.0.113.1:6000").connect(at)
	if _, err := node.Watch(e, flash.PeerID{1}); !errors.Is(err, ErrNoPeer) {
		t.Errorf("nobody: %v", err)
	}
	a, b := alice.id.PeerID(), bob.id.PeerID()
	first, err := node.Watch(e, a)
	if err != nil || len(first.Records) != 0 {
		t.Fatal(err, first)
	}
	if _, err := node.Watch(e, b); err != nil {
		t.Fatal(err)
	}
	alice.seek(bob.id, at)
	n.wait(time.Second)
	has := func(id flash.PeerID, sent bool, typ wire.ChunkType) bool {
		i, _ := node.Timeline(id)
		for _, r := range i.Records {
			if r.Sent == sent && r.Chunks[0].Type == typ && r.Chunks[0].Count > 0 {
				return true
			}
		}
		return false
	}
	if !has(a, false, wire.ChunkIHello) || !has(a, true, wire.ChunkRedirect) || !has(b, true, wire.ChunkFIHello) || has(b, true, wire.ChunkRedirect) {
		t.Error("the introduction is not in the timelines")
	}

	// It reaches beyond the session.
	alice.client.Close()
	n.wait(time.Second)
	closed, found := node.Timeline(a)
	if !found || !has(a, false, wire.ChunkCloseRequest) {
		t.Fatalf("gone with its peer: %v", found)
	}
	alice.connect(at)
	alice.call("presence.list")
	if again, _ := node.Timeline(a); again.Total <= closed.Total+3 {
		t.Errorf("%d packets, then %d: the next session is not watched", closed.Total, again.Total)
	}

	n.wait(timelineLife / 2)
	if i, err := node.Watch(e, a); err != nil || i.Total == 0 || !i.Until.Equal(e.Now().Add(timelineLife)) {
		t.Errorf("watched anew: %v %v", i.Until, err)
	}
	n.wait(timelineLife/2 + time.Second)
	if _, found := node.Timeline(b); found {
		t.Error("it did not end by itself")
	}
	if !node.Unwatch(e, a) || node.Unwatch(e, a) {
		t.Error("it did not end by order, once")
	}
}

func TestTimelinesAreFew(t *testing.T) {
	n := newNetwork(t)
	node, e, at := n.node(Config{})
	var err error
	watched := 0
	for ; err == nil && watched < 100; watched++ {
		u := n.user(fmt.Sprintf("198.51.100.1:%d", 5000+watched)).connect(at)
		_, err = node.Watch(e, u.id.PeerID())
	}
	if !errors.Is(err, rtmfp.ErrTimelines) || watched != 9 {
		t.Errorf("%d watched: %v", watched-1, err)
	}
	for id := range node.timelines {
		node.Unwatch(e, id)
	}
}
