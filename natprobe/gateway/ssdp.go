package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// device is one that answered a search.
type device struct {
	at          netip.Addr
	description *url.URL
}

// targets are what is searched for: devices answer to the names of their services, of
// themselves, or of both, in each version that they know.
var targets = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
	// Anything that speaks UPnP answers to this; only the default router is listened to.
	rootDevice,
}

const (
	rootDevice = "upnp:rootdevice"

	sends     = 3 // datagrams get lost
	sendEvery = 100 * time.Millisecond
	// answerWithin is how long devices wait at most, in seconds, each for a time of its
	// own, so that not all answer at once.
	answerWithin = 1
)

// wanted reports whether a search target, or a name that has one in it, is that of a
// gateway, in any version.
func wanted(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(targets, func(t string) bool {
		t = strings.ToLower(t)
		return t != rootDevice && strings.Contains(name, t[:strings.LastIndexByte(t, ':')])
	})
}

// devices searches from all of this host's addresses at once, until the default router
// has answered or ctx is done. The default router comes first.
func (n *network) devices(ctx context.Context) ([]device, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	s := &search{n: n, enough: cancel}
	errs := make([]error, len(n.hosts))
	var work sync.WaitGroup
	for i, host := range n.hosts {
		work.Go(func() { errs[i] = s.from(ctx, host) })
	}
	work.Wait()
	found := s.found
	slices.SortStableFunc(found, func(a, b device) int { return n.distance(a) - n.distance(b) })
	if found = found[:min(len(found), maxDevices)]; len(found) > 0 {
		return found, nil // some interface or other always leads nowhere
	}
	return nil, errors.Join(errs...)
}

// distance orders the default routers before others.
func (n *network) distance(d device) int {
	if n.isRouter(d.at) {
		return 0
	}
	return 1
}

// search is one for gateways.
type search struct {
	n      *network
	enough func() // no more is to be looked for

	mu    sync.Mutex
	found []device // each once, in the order in which they answered
}

// from searches from one address.
func (s *search) from(ctx context.Context, host netip.Addr) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxAnswerBytes)
	for sent := 0; ctx.Err() == nil; {
		deadline, _ := ctx.Deadline() // devices set one
		if sent < sends {
			sent++
			for _, t := range targets {
				if _, err := conn.WriteToUDPAddrPort(searchFor(t), s.n.group); err != nil {
					return err
				}
			}
			deadline = time.Now().Add(sendEvery)
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		for ctx.Err() == nil {
			read, from, err := conn.ReadFromUDPAddrPort(buf)
			if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
				break // send again
			}
			if err != nil {
				return err
			}
			s.take(buf[:read], from.Addr().Unmap())
		}
	}
	return nil
}

// searchFor is a request of UPnP Device Architecture 1.1, section 1.3.2.
func searchFor(target string) []byte {
	return fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %v\r\nMAN: \"ssdp:discover\"\r\nMX: %d\r\nST: %s\r\n\r\n", ssdpGroup, answerWithin, target)
}

// take keeps an answer that may be used. The search is over with the default router's
// own, which no number of others keeps out.
func (s *search) take(b []byte, from netip.Addr) {
	router := s.n.isRouter(from)
	where, gateway := locationIn(b, from)
	if where == nil || !gateway && !router {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	again := slices.ContainsFunc(s.found, func(d device) bool { return d.at == from && d.description.String() == where.String() })
	if !again && (len(s.found) < maxAnswers || router && len(s.found) < 2*maxAnswers) {
		s.found = append(s.found, device{from, where})
	}
	if router && gateway {
		s.enough()
	}
}

// locationIn reads an answer: where the description is, nil for what is of no use, and
// whether it is one of a gateway. What would have a third host asked is of no use:
// descriptions are fetched from whoever says to have one.
func locationIn(b []byte, from netip.Addr) (where *url.URL, gateway bool) {
	h, _, ok := parseHead(b)
	if !ok || h.status != 200 {
		return nil, false
	}
	// Not all that answer repeat what they were asked, or in the same letters.
	gateway = slices.ContainsFunc([]string{"ST", "USN", "NT"}, func(name string) bool { return wanted(h.get(name)) })
	return resolve(&url.URL{Scheme: "http", Host: hostPort(from, 0)}, h.get("LOCATION"), from), gateway
}

// resolve finds what a device names in its text, at the device itself; nil if it is
// elsewhere, or nothing.
func resolve(base *url.URL, text string, device netip.Addr) *url.URL {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	u, err := base.Parse(text)
	if err != nil || u.Opaque != "" {
		u, err = url.Parse("http://" + text) // some leave the scheme out, and a host looks like one
	}
	if err != nil || !strings.EqualFold(u.Scheme, "http") {
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	switch {
	case err == nil && (addr.IsUnspecified() || addr.IsLoopback() && !device.IsLoopback()):
		port, _ := strconv.ParseUint(u.Port(), 10, 16)
		u.Host = hostPort(device, uint16(port)) // it means itself
	case err == nil && addr.Unmap() != device:
		return nil
	}
	u.Scheme, u.User = "http", nil
	return u
}

func hostPort(addr netip.Addr, port uint16) string {
	if port == 0 && addr.Is6() {
		return "[" + addr.String() + "]"
	}
	if port == 0 {
		return addr.String()
	}
	return netip.AddrPortFrom(addr, port).String()
}

// multicasting lists this host's addresses of IPv4 on interfaces that can.
func multicasting() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil // where the system does not tell, nothing is known
	}
	var all []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap().Is4() {
				all = append(all, p.Addr().Unmap())
			}
		}
	}
	return all
}
