package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The client is this package's own. A library would have to be one that reads what
// devices really send: goupnp wants XML without a fault in the encoding that it says,
// exact search targets and HTTP as net/http has it, takes any number of answers, and
// fetches from whatever host they name.

// upnp asks whatever Internet gateway device answers to multicast, the default router
// first.
func (n *network) upnp(ctx context.Context) (told, error) {
	found, err := n.devices(ctx)
	if len(found) == 0 {
		return told{}, cmp.Or(err, error(errSilent))
	}
	for _, d := range found {
		addr, failed := d.external(ctx)
		if failed == nil {
			return told{at: d.at, external: addr}, nil
		}
		err = cmp.Or(err, failed)
	}
	return told{at: found[0].at}, err
}

// service is one that knows the outside address.
type service struct {
	kind    string   // its type, as the device writes it
	control *url.URL // nil: it is elsewhere, or nowhere
}

// kinds are the services that know it, best first. Which one there is depends on a
// router's age, and on its line.
var kinds = []string{"WANIPConnection:2", "WANIPConnection", "WANPPPConnection"}

// rank orders services by kind; len(kinds) is none.
func rank(kind string) int {
	i := slices.IndexFunc(kinds, func(k string) bool {
		return strings.Contains(strings.ToLower(kind), strings.ToLower(k))
	})
	if i < 0 {
		return len(kinds)
	}
	return i
}

// external asks the device for the address.
func (d device) external(ctx context.Context) (netip.Addr, error) {
	description, err := d.fetch(ctx, "GET", d.description, "")
	if err != nil {
		return netip.Addr{}, understood(err)
	}
	err = errStrange // it has none of the services
	found := d.services(description)
	for _, s := range found[:min(len(found), maxServices)] {
		if s.control == nil {
			err = errElsewhere
			continue
		}
		addr, failed := d.ask(ctx, s)
		if failed == nil {
			return addr, nil
		}
		err = failed
	}
	return netip.Addr{}, err
}

// services reads a description: those that know the address, best first.
func (d device) services(description []byte) []service {
	base := d.description
	all := elements(description)
	if text, ok := textOf(all, "URLBase"); ok && text != "" {
		base = resolve(d.description, text, d.at)
	}
	var found []service
	kind, control := "", ""
	for _, e := range all {
		switch e.name {
		case "servicetype":
			kind = e.text
		case "controlurl":
			control = e.text
		case "service":
			if rank(kind) < len(kinds) && control != "" {
				s := service{kind: kind}
				if base != nil {
					s.control = resolve(base, control, d.at)
				}
				found = append(found, s)
			}
			kind, control = "", ""
		}
	}
	slices.SortStableFunc(found, func(a, b service) int { return rank(a.kind) - rank(b.kind) })
	return found
}

// ask calls GetExternalIPAddress (UPnP Device Architecture 1.1, section 3.2.1).
func (d device) ask(ctx context.Context, s service) (netip.Addr, error) {
	const action = "GetExternalIPAddress"
	if strings.ContainsAny(s.kind, "\"<>&\r\n") { // it would not be a name but more of the request
		return netip.Addr{}, errStrange
	}
	body := fmt.Sprintf(`<?xml version="1.0"?>`+"\r\n"+`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">`+
		`<s:Body><u:%s xmlns:u="%s"></u:%[1]s></s:Body></s:Envelope>`+"\r\n", action, s.kind)
	answer, err := d.fetch(ctx, "POST", s.control, body,
		`Content-Type: text/xml; charset="utf-8"`, fmt.Sprintf(`SOAPAction: "%s#%s"`, s.kind, action))
	if err != nil {
		return netip.Addr{}, understood(err)
	}
	all := elements(answer)
	text, ok := textOf(all, "NewExternalIPAddress")
	if !ok {
		reason, _ := textOf(all, "errorCode")
		if code, err := strconv.ParseUint(reason, 10, 16); err == nil {
			return netip.Addr{}, sayError(fmt.Sprintf("it refuses: error %d of UPnP", code))
		}
		return netip.Addr{}, errStrange
	}
	addr := addressIn(text)
	switch {
	case addr.IsGlobalUnicast(): // private ones are
		return addr, nil
	case addr.IsValid() || text == "":
		return netip.Addr{}, errNoAddress
	}
	return netip.Addr{}, errStrange
}

// addressIn reads an address, also one with zeros before its numbers, or with a port or
// a prefix behind it; zero for what is none.
func addressIn(text string) netip.Addr {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "/")
	if addr, err := netip.ParseAddr(text); err == nil {
		return addr.Unmap()
	}
	text, _, _ = strings.Cut(text, ":")
	parts := strings.Split(text, ".")
	var four [net.IPv4len]byte
	if len(parts) != len(four) {
		return netip.Addr{}
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(strings.TrimSpace(p), 10, 8)
		if err != nil {
			return netip.Addr{}
		}
		four[i] = byte(n)
	}
	return netip.AddrFrom4(four)
}
