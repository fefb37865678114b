package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// upnpRouter is an Internet gateway device: it answers to searches, describes
// itself, and tells its address.
type upnpRouter struct {
	*httptest.Server
	group    netip.AddrPort
	service  string
	location string // of the answers; "" for its own
	control  string // where the service is
	describe http.HandlerFunc
	tell     http.HandlerFunc
	asked    atomic.Int32 // for the address
}

const oldService = "urn:schemas-upnp-org:service:WANIPConnection:1"

// newUPnP starts one; change says how it differs from a good one.
func newUPnP(t *testing.T, at string, change func(*upnpRouter)) *upnpRouter {
	t.Helper()
	u := &upnpRouter{service: oldService, control: "/ctl", tell: tells(outside.String())}
	u.describe = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device><deviceList><device>
<serviceList><service><serviceType>%s</serviceType><controlURL>%s</controlURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>`, u.service, u.control)
	}
	if change != nil {
		change(u)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /desc.xml", func(w http.ResponseWriter, r *http.Request) { u.describe(w, r) })
	mux.HandleFunc("POST /ctl", func(w http.ResponseWriter, r *http.Request) {
		u.asked.Add(1)
		u.tell(w, r)
	})
	u.Server = httptest.NewUnstartedServer(mux)
	listener, err := net.Listen("tcp4", at+":0")
	if err != nil {
		t.Skipf("SKIP: no router can be played at %s: %v", at, err)
	}
	u.Listener.Close()
	u.Listener = listener
	u.Start()
	t.Cleanup(u.Close)
	u.group, _ = udpServer(t, at+":0", func(r []byte) [][]byte {
		if !strings.HasPrefix(string(r), "M-SEARCH * HTTP/1.1\r\n") || !strings.Contains(string(r), "ST: "+u.service+"\r\n") {
			return nil
		}
		where := u.location
		if where == "" {
			where = u.URL + "/desc.xml"
		}
		return [][]byte{found(u.service, where)}
	})
	return u
}

func found(service, where string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: %s\r\nUSN: uuid:1::%s\r\nLOCATION: %s\r\nEXT:\r\n\r\n", service, service, where)
}

func tells(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>
<u:GetExternalIPAddressResponse xmlns:u="%s"><NewExternalIPAddress>%s</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>`, oldService, address)
	}
}

// network is one on which the router is: 127.0.0.1 reaches all of loopback.
func (u *upnpRouter) network() *network {
	return &network{hosts: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, group: u.group, router: netip.AddrPortFrom(u.group.Addr(), routerPort)}
}

func (u *upnpRouter) expect(t *testing.T, external netip.Addr, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	began := time.Now()
	got, err := u.network().upnp(ctx)
	if got.external != external || (err == nil) != (says == "") || err != nil && !strings.Contains(plain(err), says) {
		t.Errorf("%+v, %v; want %v %s", got, err, external, says)
	}
	if took := time.Since(began); took > patience+time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestUPnP(t *testing.T) {
	for _, service := range targets[:3] {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			u := newUPnP(t, "127.0.0.1", func(u *upnpRouter) { u.service = service })
			u.expect(t, outside, "")
		})
	}
}

// Whoever is on a network may answer. Whatever that is, it costs no more than the
// time there is, and no third host is asked.
func TestUPnPHostileAnswers(t *testing.T) {
	t.Parallel()
	third := newUPnP(t, "127.53.52.3", func(u *upnpRouter) {
		u.describe = func(http.ResponseWriter, *http.Request) { t.Error("a third host is asked") }
		u.tell = u.describe
	})
	elsewhere := third.URL
	for _, c := range []struct {
		name   string
		change func(*upnpRouter)
		says   string
	}{
		{"no address", func(u *upnpRouter) { u.tell = tells("") }, "no outside address"},
		{"the address of nothing", func(u *upnpRouter) { u.tell = tells("0.0.0.0") }, "no outside address"},
		{"words", func(u *upnpRouter) { u.tell = tells("\x1b[2J") }, "not understood"},
		{"a fault", func(u *upnpRouter) {
			u.tell = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }
		}, "not understood"},
		{"not the service", func(u *upnpRouter) {
			u.describe = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `<root xmlns="urn:schemas-upnp-org:device-1-0"/>`)
			}
		}, "not understood"},
		{"no description", func(u *upnpRouter) { u.describe = http.NotFound }, "not understood"},
		{"a huge description", func(u *upnpRouter) { u.describe = endless("<a>") }, "not understood"},
		{"a huge answer", func(u *upnpRouter) { u.tell = endless("<a>") }, "not understood"},
		{"a huge header", func(u *upnpRouter) {
			u.describe = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }
		}, "not understood"},
		{"a description that never ends", func(u *upnpRouter) { u.describe = slow }, "not understood"},
		{"an answer that never ends", func(u *upnpRouter) { u.tell = slow }, "not understood"},
		{"a description that never comes", func(u *upnpRouter) { u.describe = never }, "no answer"},
		{"an answer that never comes", func(u *upnpRouter) { u.tell = never }, "no answer"},
		{"a description that has moved", func(u *upnpRouter) { u.describe = http.RedirectHandler(elsewhere, http.StatusFound).ServeHTTP }, "not understood"},
		{"an address that has moved", func(u *upnpRouter) {
			u.tell = http.RedirectHandler(elsewhere, http.StatusTemporaryRedirect).ServeHTTP
		}, "not understood"},
		{"a description elsewhere", func(u *upnpRouter) { u.location = elsewhere + "/desc.xml" }, "no answer"},
		{"a description of no host", func(u *upnpRouter) { u.location = "file:///etc/passwd" }, "no answer"},
		{"a service elsewhere", func(u *upnpRouter) { u.control = elsewhere + "/ctl" }, "another host"},
		{"a base elsewhere", func(u *upnpRouter) {
			u.describe = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `<root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>%s</URLBase><device><serviceList><service>
<serviceType>%s</serviceType><controlURL>/ctl</controlURL></service></serviceList></device></root>`, elsewhere, oldService)
			}
		}, "another host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			u := newUPnP(t, "127.0.0.1", c.change)
			u.expect(t, netip.Addr{}, c.says)
		})
	}
}

func endless(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for range 8 << 20 / len(text) {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}
}

func never(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is noticed only then
	select {
	case <-r.Context().Done():
	case <-time.After(patience):
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is noticed only then
	fmt.Fprint(w, "<root>")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-r.Context().Done():
	case <-time.After(patience):
	}
}

// A device with a thousand services is asked a few times.
func TestUPnPManyServices(t *testing.T) {
	t.Parallel()
	u := newUPnP(t, "127.0.0.1", func(u *upnpRouter) {
		u.tell = tells("0.0.0.0")
		u.describe = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>%s</serviceList></device></root>`,
				strings.Repeat("<service><serviceType>"+oldService+"</serviceType><controlURL>/ctl</controlURL></service>", 1000))
		}
	})
	u.expect(t, netip.Addr{}, "no outside address")
	if n := u.asked.Load(); n != maxServices {
		t.Errorf("asked %d times", n)
	}
}

// Of many devices some are asked, and the default router before all others.
func TestUPnPManyDevices(t *testing.T) {
	t.Parallel()
	group, _ := udpServer(t, "127.0.0.1:0", func([]byte) [][]byte {
		answers := [][]byte{[]byte("nonsense"), []byte("HTTP/1.1 500 No\r\nLOCATION: http://127.0.0.1/\r\n\r\n")}
		for i := range 2 * maxAnswers {
			answers = append(answers, found(oldService, fmt.Sprintf("http://127.0.0.1/desc.xml?%d", i)))
		}
		return answers
	})
	n := &network{hosts: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, group: group, router: netip.MustParseAddrPort("192.0.2.1:5351")}
	if devices, err := n.devices(soon(t)); err != nil || len(devices) != maxDevices {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	m := &search{n: n, enough: func() {}}
	for i := range 3 * maxAnswers {
		m.take(found(oldService, fmt.Sprintf("http://127.0.0.1/%d", i)), netip.MustParseAddr("127.0.0.1"))
	}
	m.take(found(oldService, "http://192.0.2.1/desc.xml"), n.router.Addr())
	if len(m.found) != maxAnswers+1 {
		t.Errorf("%d answers are kept", len(m.found))
	}
}
