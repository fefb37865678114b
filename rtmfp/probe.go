package rtmfp

import (
	"fmt"
	"net/netip"

	"pileus/rtmfp/wire"
)

// maxAwaited bounds the tags that Await waits for.
const maxAwaited = 1 << 16

// SendHello sends an IHello from the socket at local without opening a session:
// whether, and from where, it is answered tells what the far end's NAT does.
func (e *Engine) SendHello(local, to netip.AddrPort, epd, tag []byte) {
	e.startup(local, to, wire.SessionID{}, wire.IHello{EPD: epd, Tag: tag})
}

// Await has f called for every RHello and Implied Redirect with this tag, at
// whatever socket and from wherever, until Forget. Nothing else comes of them.
func (e *Engine) Await(tag []byte, f func(local, from netip.AddrPort)) error {
	if len(e.awaited) >= maxAwaited {
		return fmt.Errorf("rtmfp: %d tags are awaited already", maxAwaited)
	}
	if e.awaited == nil {
		e.awaited = make(map[string]func(local, from netip.AddrPort))
	}
	e.awaited[string(tag)] = f
	return nil
}

// Forget ends an Await.
func (e *Engine) Forget(tag []byte) { delete(e.awaited, string(tag)) }

// answered hands an answer to whoever awaits its tag.
func (e *Engine) answered(d Datagram, tag []byte) bool {
	f := e.awaited[string(tag)]
	if f != nil {
		f(d.Local, d.Peer)
	}
	return f != nil
}
