package rtmfp

import (
	"errors"
	"fmt"
	"net/netip"

	"pileus/rtmfp/udp"
)

// Add has the engine speak at one more socket, which is the endpoint's from now on: if it fails, it is
// closed.
func (ep *Endpoint) Add(s Socket) error {
	var failed error
	err := ep.Do(func(*Engine) { failed = ep.add(s) })
	if err = errors.Join(err, failed); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func (ep *Endpoint) add(s Socket) error {
	local := s.LocalAddr()
	if _, ok := ep.index[local]; ok {
		return fmt.Errorf("rtmfp: endpoint: %v is there already", local)
	}
	n, err := ep.inlet.Add(s)
	if err != nil {
		return err
	}
	if n == len(ep.conns) {
		ep.conns, ep.outbox = append(ep.conns, s), append(ep.outbox, []udp.Datagram(nil))
	} else {
		ep.conns[n] = s
	}
	ep.index[local] = n
	return nil
}

// Remove closes the socket at local, if there is one. Sessions there are not told: what they send is lost
// until their far ends are heard at another socket, or the same comes back.
func (ep *Endpoint) Remove(local netip.AddrPort) error {
	return ep.Do(func(*Engine) {
		n, ok := ep.index[local]
		if !ok {
			return
		}
		delete(ep.index, local)
		ep.inlet.Remove(n)
		ep.conns[n] = nil
	})
}
