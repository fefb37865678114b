package gateway

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/soap"
)

// services know the outside address. Which one there is depends on a router's
// age, and on its line.
var services = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// upnp asks whatever Internet gateway device answers to multicast, the default
// router first.
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

// devices searches for all services at once.
func (n *network) devices(ctx context.Context) ([]device, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	var mu sync.Mutex
	var found []device
	var failed error
	var work sync.WaitGroup
	for _, s := range services {
		work.Go(func() {
			some, err := n.search(ctx, s, cancel)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, some...)
			failed = cmp.Or(failed, err)
		})
	}
	work.Wait()
	if len(found) > 0 {
		failed = nil
	}
	seen := make(map[string]bool)
	found = slices.DeleteFunc(found, func(d device) bool {
		again := seen[d.description.String()]
		seen[d.description.String()] = true
		return again
	})
	slices.SortStableFunc(found, func(a, b device) int {
		return cmp.Compare(n.distance(a), n.distance(b))
	})
	return found[:min(len(found), maxDevices)], failed
}

// distance orders the default router before others.
func (n *network) distance(d device) int {
	if d.at == n.router.Addr() {
		return 0
	}
	return 1
}

// external asks the device for the address.
func (d device) external(ctx context.Context) (netip.Addr, error) {
	client := d.client()
	root, err := d.describe(ctx, client)
	if err != nil {
		return netip.Addr{}, err
	}
	err = errStrange // it has none of the services
	asked := 0
	for _, name := range services {
		for _, s := range root.Device.FindService(name) {
			if asked++; asked > maxServices {
				return netip.Addr{}, err
			}
			if hostOf(&s.ControlURL.URL) != d.at {
				err = errElsewhere
				continue
			}
			connection := soap.NewSOAPClient(s.ControlURL.URL)
			connection.HTTPClient = *client
			var answer struct{ NewExternalIPAddress string }
			if err = connection.PerformActionCtx(ctx, name, "GetExternalIPAddress", nil, &answer); err != nil {
				err = understood(err)
				continue
			}
			addr, failed := netip.ParseAddr(answer.NewExternalIPAddress)
			if failed == nil && addr.IsGlobalUnicast() {
				return addr.Unmap(), nil
			}
			err = errNoAddress
		}
	}
	return netip.Addr{}, err
}

// describe fetches and reads the device's description.
func (d device) describe(ctx context.Context, client *http.Client) (*goupnp.RootDevice, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.description.String(), nil)
	if err != nil {
		return nil, errStrange
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, understood(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errStrange
	}
	var root goupnp.RootDevice
	decoder := xml.NewDecoder(answer.Body)
	decoder.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := decoder.Decode(&root); err != nil {
		return nil, understood(err)
	}
	base := d.description
	if root.URLBaseStr != "" {
		if base, err = base.Parse(root.URLBaseStr); err != nil {
			return nil, errStrange
		}
	}
	root.SetURLBase(base)
	return &root, nil
}

// understood tells silence from what makes no sense.
func understood(err error) error {
	if said, ok := errors.AsType[sayError](err); ok {
		return said
	}
	if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errStrange
}

// errElsewhere: a device speaks for itself. Whoever is on this network could
// otherwise have this host ask any other.
const errElsewhere = sayError("its answer leads to another host, which is not asked")

// client speaks HTTP with the device alone, and takes no more than is good.
func (d device) client() *http.Client {
	var dialer net.Dialer
	return &http.Client{
		Timeout: fetchTime,
		// A redirect is an answer that is not understood.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				to, err := netip.ParseAddrPort(addr)
				if err != nil || to.Addr().Unmap() != d.at {
					return nil, errElsewhere
				}
				return dialer.DialContext(ctx, network, addr)
			},
		}},
	}
}

// bounded cuts bodies off.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxBody), answer.Body}
	return answer, nil
}
