package netconn_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

// A node that dies without a word ends its clients and what is between them, and
// they know why.
func TestNodeDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		alice, bob := newPeer(t, n, aliceAddr), newPeer(t, n, bobAddr)
		for _, p := range []*peer{alice, bob} {
			p.dial(nil)
		}
		settle(time.Second)
		for i := range 2 {
			s.conn(i, func(c *nodeConn) {
				if err := c.SetKeepalive(15*time.Second, 10*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		alice.with(func(c *netconn.Client) {
			if _, err := c.Publish("cam", netconn.PublishOptions{}, alice); err != nil {
				t.Error(err)
			}
		})
		v := &viewer{}
		bob.with(func(c *netconn.Client) {
			if _, err := c.Play(alice.id.PeerID(), "cam", v); err != nil {
				t.Error(err)
			}
		})
		settle(time.Second)
		v.has(t, netconn.StatusPlayStart)

		n.Cut(netip.MustParseAddrPort(nodeAddr))
		settle(50 * time.Second)
		const dead = "closed: rtmfp: far end stopped answering: timed out"
		var ends []string
		for _, p := range []*peer{alice, bob} {
			lines := p.take()
			ends = append(ends, lines[len(lines)-1])
		}
		if !slices.Contains(ends, dead) || slices.Contains(ends, "closed: "+netconn.ErrFarClosed.Error()) {
			t.Errorf("%q", ends)
		}
		v.has(t, "closed: ")
		alice.with(func(c *netconn.Client) {
			if left := c.Peers(); len(left) > 0 {
				t.Errorf("%d peers are left", len(left))
			}
		})
	})
}
