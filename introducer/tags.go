package introducer

import (
	"crypto/rand"
	"net/netip"

	"pileus/rtmfp/flow"
)

// await makes a tag by which an answer to what is asked of p is known, and has f called
// for it; nil: there are too many. forget ends that.
func (n *Node) await(p *Peer, f func(local, from netip.AddrPort)) []byte {
	if n.take(p, SharedTags) != flow.Granted {
		return nil
	}
	tag := make([]byte, 16)
	_, _ = rand.Read(tag) // never fails
	if p.session.Engine().Await(tag, f) != nil {
		n.give(p, SharedTags)
		return nil
	}
	return tag
}

func (n *Node) forget(p *Peer, tag []byte) {
	n.give(p, SharedTags)
	p.session.Engine().Forget(tag)
}
