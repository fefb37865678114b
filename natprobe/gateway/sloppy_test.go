package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// sloppy is a router that speaks UPnP as somebody remembers it. Everything is bytes.
type sloppy struct {
	search   func(target, where string) string // the answer to a search; "" for none
	location string                            // with %s for host and port
	describe string                            // the whole response to GET, with %s for host and port
	tell     string                            // to POST
	open     bool                              // the connection stays open behind a response
	third    bool                              // somebody else's search is answered, who is not the default router
}

const (
	igd1 = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
	ip1  = "urn:schemas-upnp-org:service:WANIPConnection:1"
	ppp1 = "urn:schemas-upnp-org:service:WANPPPConnection:1"
)

// ok is an HTTP response as it should be.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

func description(services string) string {
	return `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion><device>` +
		`<deviceType>` + igd1 + `</deviceType><friendlyName>A router</friendlyName><deviceList><device><deviceList><device><serviceList>` +
		services + `</serviceList></device></deviceList></device></deviceList></device></root>`
}

func serviceAt(kind, control string) string {
	return "<service><serviceType>" + kind + "</serviceType><serviceId>x</serviceId><controlURL>" + control + "</controlURL><eventSubURL>/e</eventSubURL></service>"
}

func envelope(address string) string {
	return `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>` +
		`<u:GetExternalIPAddressResponse xmlns:u="` + ip1 + `"><NewExternalIPAddress>` + address + `</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>`
}

func fault(code int) string {
	return fmt.Sprintf(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>`+
		`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode></UPnPError></detail></s:Fault></s:Body></s:Envelope>`, code)
}

func utf16le(text string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// chunked is a body in chunks of so many bytes.
func chunked(body string, of int) string {
	out := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for len(body) > 0 {
		n := min(of, len(body))
		out += fmt.Sprintf("%x;x=y\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return out + "0\r\n\r\n"
}

func answerTo(target, where string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: %s\r\nUSN: uuid:1::%[1]s\r\nEXT:\r\nSERVER: x UPnP/1.0 y\r\nLOCATION: %s\r\n\r\n", target, where)
}

// only answers to one target, in its own words.
func only(target, format string) func(string, string) string {
	return func(asked, where string) string {
		if asked != target {
			return ""
		}
		return fmt.Sprintf(format, where)
	}
}

// start has it answer until the test ends.
func (s *sloppy) start(t *testing.T) *network {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().String()
	var connections sync.WaitGroup
	ended := make(chan struct{})
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { s.serve(conn, at, ended) })
		}
	})
	t.Cleanup(func() {
		close(ended)
		_ = listener.Close()
		connections.Wait()
	})
	where := s.location
	if where == "" {
		where = "http://%s/desc.xml"
	}
	group, _ := udpServer(t, "127.0.0.1:0", func(b []byte) [][]byte {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || request.Header.Get("Man") != `"ssdp:discover"` || request.Host != "239.255.255.250:1900" || request.Header.Get("Mx") == "" {
			t.Errorf("a search is %q: %v", b, err)
			return nil
		}
		if answer := s.search(request.Header.Get("St"), fill(where, at)); answer != "" {
			return [][]byte{[]byte(answer)}
		}
		return nil
	})
	n := &network{hosts: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, group: group, router: netip.AddrPortFrom(group.Addr(), routerPort)}
	if s.third {
		n.router = netip.MustParseAddrPort("192.0.2.1:5351")
	}
	return n
}

// fill has host and port in a text, or the port alone.
func fill(text, at string) string {
	_, port, _ := net.SplitHostPort(at)
	return strings.ReplaceAll(strings.ReplaceAll(text, "%s", at), "PORT", port)
}

func (s *sloppy) serve(conn net.Conn, at string, ended chan struct{}) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, _ := io.ReadAll(request.Body)
	answer := "HTTP/1.1 404 Not Found\r\n\r\n"
	switch {
	case request.Method == http.MethodGet:
		answer = s.describe
	case strings.Contains(string(body), "GetExternalIPAddress") && strings.HasSuffix(request.Header.Get("Soapaction"), `#GetExternalIPAddress"`):
		answer = s.tell
	}
	_, _ = io.WriteString(conn, fill(answer, at))
	if s.open {
		select {
		case <-ended:
		case <-time.After(2 * patience):
		}
	}
}

// What routers really send, and what they mean by it.
func TestSloppyRouters(t *testing.T) {
	t.Parallel()
	good := description(serviceAt(ip1, "/ctl"))
	right := envelope("100.64.0.7")
	http10 := func(body string) string { return "HTTP/1.0 200 OK\nContent-Type: text/xml\n\n" + body }
	length := func(n int, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body)
	}
	for _, c := range []struct {
		name   string
		change func(*sloppy)
		says   string // instead of the address
	}{
		{"as it should be", func(*sloppy) {}, ""},

		// Searches.
		{"answers for the device alone", func(s *sloppy) { s.search = only(igd1, answerTo(igd1, "%s")) }, ""},
		{"answers for version 2 alone", func(s *sloppy) {
			s.search = only(targets[3], answerTo(targets[3], "%s"))
		}, ""},
		{"answers as a root device alone", func(s *sloppy) { s.search = only(rootDevice, answerTo(rootDevice, "%s")) }, ""},
		{"answers as a root device, and is no router", func(s *sloppy) {
			s.search, s.third = only(rootDevice, answerTo(rootDevice, "%s")), true
		}, "no answer"},
		{"another router than the default one", func(s *sloppy) { s.third = true }, ""},
		{"header names in other case", func(s *sloppy) {
			s.search = only(ip1, "http/1.1 200 ok\r\nst: "+ip1+"\r\nlocation: %s\r\n\r\n")
		}, ""},
		{"the target in other case", func(s *sloppy) { s.search = only(ip1, answerTo(strings.ToUpper(ip1), "%s")) }, ""},
		{"no target, but a name", func(s *sloppy) {
			s.search = only(ip1, "HTTP/1.1 200 OK\r\nUSN: uuid:1::"+ip1+"\r\nLOCATION: %s\r\n\r\n")
		}, ""},
		{"lines end as they like, and spaces", func(s *sloppy) {
			s.search = only(ip1, "HTTP/1.1 200 OK\nST : "+ip1+"\nLocation :  %s  \n\n")
		}, ""},
		{"a header that is none", func(s *sloppy) {
			s.search = only(ip1, "HTTP/1.1 200 OK\r\nnonsense\r\n: x\r\nST: "+ip1+"\r\nLOCATION: %s\r\nBad Name: y\r\n\r\n")
		}, ""},
		{"no empty line", func(s *sloppy) {
			s.search = only(ip1, "HTTP/1.0 200\r\nST: "+ip1+"\r\nLOCATION: %s")
		}, ""},
		{"a place without a scheme", func(s *sloppy) { s.location = "%s/desc.xml" }, ""},
		{"its place is loopback", func(s *sloppy) { s.location = "http://0.0.0.0:PORT/desc.xml" }, ""},

		// Descriptions.
		{"says another encoding", func(s *sloppy) {
			s.describe = ok(strings.Replace(good, `version="1.0"`, `version="1.0" encoding="x-sjis"`, 1))
		}, ""},
		{"says version 1.1", func(s *sloppy) { s.describe = ok(strings.Replace(good, `version="1.0"`, `version="1.1"`, 1)) }, ""},
		{"Latin-1", func(s *sloppy) { s.describe = ok(strings.Replace(good, "A router", "R\xf6uter", 1)) }, ""},
		{"16 bits", func(s *sloppy) { s.describe = ok(utf16le(good)) }, ""},
		{"a byte order mark, and space before", func(s *sloppy) { s.describe = ok("\xef\xbb\xbf\r\n" + good) }, ""},
		{"one bad byte", func(s *sloppy) { s.describe = ok(strings.Replace(good, "A router", "A\xffrouter\x00\x01", 1)) }, ""},
		{"raw &", func(s *sloppy) { s.describe = ok(strings.Replace(good, "A router", "Smith & Sons <3", 1)) }, ""},
		{"tags that do not match", func(s *sloppy) {
			s.describe = ok(strings.Replace(good, "</friendlyName>", "</friendlyname><br>", 1))
		}, ""},
		{"no namespace, names in other case", func(s *sloppy) {
			s.describe = ok("<ROOT><DEVICE><SERVICELIST><SERVICE><SERVICETYPE>" + ip1 + "</SERVICETYPE><CONTROLURL>/ctl</CONTROLURL></SERVICE></SERVICELIST></DEVICE></ROOT>")
		}, ""},
		{"a namespace of its own", func(s *sloppy) {
			s.describe = ok(`<d:root xmlns:d="urn:x"><d:service><d:serviceType> ` + ip1 + ` </d:serviceType><d:controlURL>` + "\n /ctl \n" + `</d:controlURL></d:service></d:root>`)
		}, ""},
		{"no end", func(s *sloppy) { s.describe = ok(strings.TrimSuffix(good, "</deviceList></device></root>")) }, ""},
		{"a relative URL", func(s *sloppy) {
			s.location, s.describe = "http://%s/a/desc.xml", ok(description(serviceAt(ip1, "ctl?x=1&amp;y=2")))
		}, ""},
		{"a whole URL, by a name", func(s *sloppy) { s.describe = ok(description(serviceAt(ip1, "http://router.home:PORT/ctl"))) }, ""},
		{"a base", func(s *sloppy) {
			s.describe = ok(strings.Replace(good, "<device>", "<URLBase>http://%s/</URLBase><device>", 1))
		}, ""},
		{"a base that is empty", func(s *sloppy) { s.describe = ok(strings.Replace(good, "<device>", "<URLBase></URLBase><device>", 1)) }, ""},
		{"a base of nobody", func(s *sloppy) {
			s.describe = ok(strings.Replace(good, "<device>", "<URLBase>http://0.0.0.0:PORT</URLBase><device>", 1))
		}, ""},
		{"a service of version 3", func(s *sloppy) {
			s.describe = ok(description(serviceAt("urn:schemas-upnp-org:service:WANIPConnection:3", "/ctl")))
		}, ""},
		{"the line that is up is the last", func(s *sloppy) {
			s.describe = ok(description(serviceAt(ppp1, "/ctl") + serviceAt(ip1, "")))
		}, ""},
		{"no line", func(s *sloppy) { s.describe = ok(description("")) }, "not understood"},

		// HTTP.
		{"HTTP/1.0 without a length", func(s *sloppy) { s.describe, s.tell = http10(good), http10(right) }, ""},
		{"a length too long", func(s *sloppy) { s.describe, s.tell = length(9999, good), length(9999, right) }, ""},
		{"a length too short", func(s *sloppy) { s.describe, s.tell = length(50, good), length(50, right) }, ""},
		{"a length of words", func(s *sloppy) {
			s.describe = strings.Replace(ok(good), "Content-Length: ", "Content-Length: about ", 1)
		}, ""},
		{"two lengths", func(s *sloppy) {
			s.describe = strings.Replace(ok(good), "Connection", "Content-Length: 1\r\nConnection", 1)
		}, ""},
		{"a connection that stays open", func(s *sloppy) {
			s.open, s.describe, s.tell = true, "HTTP/1.1 200 OK\r\n\r\n"+good, "HTTP/1.1 200 OK\r\n\r\n"+right
		}, ""},
		{"chunks", func(s *sloppy) { s.describe, s.tell = chunked(good, 100), chunked(right, 7) }, ""},
		{"chunks that are none", func(s *sloppy) {
			s.describe = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Replace(good, "?>", "?>\n", 1)
		}, ""},
		{"100 first", func(s *sloppy) { s.tell = "HTTP/1.1 100 Continue\r\n\r\n" + ok(right) }, ""},
		{"a header that HTTP has not", func(s *sloppy) {
			s.describe = strings.Replace(ok(good), "Connection: close", "Bad header\x01\r\nX Y: z", 1)
		}, ""},
		{"a status without space", func(s *sloppy) { s.tell = strings.Replace(ok(right), "200 OK", "200OK", 1) }, ""},

		// Answers.
		{"Latin-1 in the answer", func(s *sloppy) {
			s.tell = ok(strings.Replace(right, "<s:Body>", "<s:Body><!-- gr\xfc\xdfe -->", 1))
		}, ""},
		{"an address with zeros", func(s *sloppy) { s.tell = ok(envelope("100.064.000.007")) }, ""},
		{"an address with space and a port", func(s *sloppy) { s.tell = ok(envelope("\n 100.64.0.7:0 ")) }, ""},
		{"names in other case", func(s *sloppy) {
			s.tell = ok(strings.ReplaceAll(right, "NewExternalIPAddress", "newexternalipaddress"))
		}, ""},
		{"an answer without envelope", func(s *sloppy) { s.tell = ok("<NewExternalIPAddress>100.64.0.7</NewExternalIPAddress>") }, ""},
		{"no address", func(s *sloppy) { s.tell = ok(envelope("")) }, "no outside address"},
		{"an address of zeros", func(s *sloppy) { s.tell = ok(envelope("0.0.0.0")) }, "no outside address"},
		{"an address of words", func(s *sloppy) { s.tell = ok(envelope("unknown")) }, "not understood"},
		{"a fault", func(s *sloppy) {
			s.tell = strings.Replace(ok(fault(501)), "200 OK", "500 Internal Server Error", 1)
		}, "it refuses: error 501 of UPnP"},
		{"a page for people", func(s *sloppy) { s.tell = ok("<html><body>Please log in</body></html>") }, "not understood"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &sloppy{search: only(ip1, answerTo(ip1, "%s")), describe: ok(good), tell: ok(right)}
			c.change(s)
			n := s.start(t)
			got, err := n.upnp(t.Context())
			switch {
			case c.says == "" && (err != nil || got.external != outside):
				t.Errorf("%+v, %v", got, err)
			case c.says != "" && (err == nil || !strings.Contains(plain(err), c.says)):
				t.Errorf("%+v, %v, want %q", got, err, c.says)
			}
		})
	}
}

// Whatever a device sends, what is read of it is bounded, and of the device alone.
func FuzzDevice(f *testing.F) {
	at := netip.MustParseAddr("192.168.1.1")
	f.Add([]byte(ok(description(serviceAt(ip1, "/ctl")))))
	f.Add([]byte(chunked(envelope("100.64.0.7"), 9)))
	f.Add([]byte(answerTo(ip1, "http://192.168.1.1:5000/desc.xml")))
	f.Add([]byte(utf16le(description(serviceAt(ppp1, "http://192.168.1.1/ctl")))))
	f.Fuzz(func(t *testing.T, b []byte) {
		where, _ := locationIn(b, at)
		if where != nil && netip.MustParseAddr("192.168.1.1").String() != where.Hostname() {
			if _, err := netip.ParseAddr(where.Hostname()); err == nil {
				t.Errorf("%v is asked", where)
			}
		}
		body, _ := receive(bytes.NewReader(b))
		if len(elements(body)) > maxElements {
			t.Error("too many elements")
		}
		d := device{at, mustURL("http://192.168.1.1/d")}
		for _, s := range d.services(body) {
			if s.control != nil && s.control.Scheme != "http" {
				t.Errorf("%v", s.control)
			}
		}
	})
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}
