package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// running is a serve inside this process.
type running struct {
	t      *testing.T
	lines  *bufio.Scanner
	stop   context.CancelFunc
	ended  chan int
	banner string
}

// serving starts serve and waits until it has told the last line of its banner.
func serving(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	n := &running{t: t, lines: bufio.NewScanner(r), stop: stop, ended: make(chan int, 1)}
	go func() {
		n.ended <- run(ctx, append([]string{"serve"}, args...), io.Discard, w)
		w.Close()
	}()
	t.Cleanup(func() { n.end() })
	for {
		if line := n.line(); strings.HasPrefix(line, "  stop") || strings.Contains(line, `"msg":"serving"`) {
			return n
		}
	}
}

// line is the next that serve prints. It fails the test if there is none.
func (n *running) line() string {
	n.t.Helper()
	if !n.lines.Scan() {
		n.t.Fatalf("serve ended with %d after:\n%s", n.end(), n.banner)
	}
	n.banner += n.lines.Text() + "\n"
	return n.lines.Text()
}

// end stops serve and gives its exit code.
func (n *running) end() int {
	n.stop()
	for n.lines.Scan() {
		n.banner += n.lines.Text() + "\n"
	}
	code := <-n.ended
	n.ended <- code
	return code
}

func (n *running) find(pattern string) string {
	n.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(n.banner)
	if m == nil {
		n.t.Fatalf("no %s in:\n%s", pattern, n.banner)
	}
	return m[1]
}

func fetch(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServe(t *testing.T) {
	n := serving(t, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--public", "127.0.0.1=198.51.100.7")
	n.find(`listening    127\.0\.0\.1:(\d+)/udp, outside 198\.51\.100\.7:\d+\n`)
	n.find(`fingerprint  ([0-9a-f]{64})\n`)
	n.find(`firewall     (nothing to open)`)
	n.find(`try next     .* peer --server rtmfp://127\.0\.0\.1:(\d+)/\n`)
	at := n.find(`admin        (http://127\.0\.0\.1:\d+)/console`)
	if status, body := fetch(t, at+"/healthz", ""); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	status, body := fetch(t, at+"/metrics", "")
	if status != 200 {
		t.Errorf("/metrics: %d %q", status, body)
	}
	for _, f := range collectedFamilies {
		if f == metricOutcomes {
			continue // none before the first introduction
		}
		if name := f.Name(); !strings.Contains(body, "\n"+name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
	if code := n.end(); code != exitOK {
		t.Errorf("exit %d:\n%s", code, n.banner)
	}
}

func TestServeWithoutAdmin(t *testing.T) {
	n := serving(t, "--listen", "127.0.0.1:0", "--admin", "")
	n.find(`admin        (none)\n`)
}

func TestServeGuardsMetrics(t *testing.T) {
	n := serving(t, "--listen", "127.0.0.1:0", "--config", config(t, "admin: {listen: '127.0.0.1:0', token: secret}\n"))
	at := n.find(`admin        (http://127\.0\.0\.1:\d+)/console`)
	for token, want := range map[string]int{"": 401, "secret": 200} {
		if status, _ := fetch(t, at+"/metrics", token); status != want {
			t.Errorf("token %q: %d, want %d", token, status, want)
		}
	}
	// As pileus.yaml says.
	for path, want := range map[string]int{
		"/": 200, "/healthz": 200, "/readyz": 200, "/console/": 200, "/api/v1/openapi.json": 200,
		"/metrics": 401, "/api/v1/status": 401, "/api/v1/events": 401, "/debug/pprof/": 401,
	} {
		if status, _ := fetch(t, at+path, ""); status != want {
			t.Errorf("%s without the token: %d, want %d", path, status, want)
		}
	}
}

// With JSON everything on stderr is an object.
func TestServeSpeaksJSON(t *testing.T) {
	file := config(t, "relay: {extra: []}\nstun: {ports: []}\nturn: {listen: []}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", "", "--relay-ports", "", "--admin", "", "--log-format", "json")
	n.end()
	var messages []string
	for line := range strings.Lines(n.banner) {
		var event struct {
			Msg         string
			Listen      []string
			Fingerprint string
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		messages = append(messages, event.Msg)
		if event.Msg == "serving" && (len(event.Listen) != 1 || len(event.Fingerprint) != 64) {
			t.Errorf("%s", line)
		}
	}
	if got := strings.Join(messages, " "); got != "serving stopping" {
		t.Errorf("events %q", got)
	}
}

func TestServeRefusesBusyPorts(t *testing.T) {
	taken, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	// Of the default ports another node may have some, which would be told first.
	alone := config(t, "probe: {ports: off}\nrelay: {ports: off, extra: []}\nstun: {ports: []}\nturn: {listen: []}\n")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"main", []string{"--listen", taken.LocalAddr().String(), "--admin", ""}, `^pileus: cannot listen on 127\.0\.0\.1:\d+/udp: address already in use; is another node running\? try --listen :\d+\n$`},
		{"main of all", []string{"--listen", (":" + port(taken.LocalAddr().String())), "--admin", ""}, `^pileus: cannot listen on 127\.0\.0\.1:\d+/udp: address already in use; .*\n$`},
		{"second", []string{"--listen", "127.0.0.1:0", "--listen", taken.LocalAddr().String(), "--admin", ""}, `^pileus: cannot listen on .*\n$`},
		{"admin", []string{"--config", alone, "--listen", "127.0.0.1:0", "--admin", tcp.Addr().String()}, `^pileus: cannot listen on 127\.0\.0\.1:\d+/tcp: address already in use; is another node running\? try --admin :\d+\n$`},
		{"not ours", []string{"--listen", "192.0.2.99:0"}, `^pileus: cannot listen on 192\.0\.2\.99:0/udp: .*; no interface of this machine has it\n$`},
		{"configuration", []string{"--config", filepath.Join("..", "..", "configs", "none.yaml")}, `^pileus: open .*none\.yaml: no such file`},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"serve"}, test.args...)...)
			if code != exitFailure || stdout != "" || !regexp.MustCompile(test.want).MatchString(stderr) {
				t.Errorf("exit %d, stderr %q, want %s", code, stderr, test.want)
			}
		})
	}
}

// Nobody asked for the default admin port, so a node runs without it.
func TestServeLeavesOutABusyDefaultPort(t *testing.T) {
	at := configs.Default().Admin.Listen.String()
	if l, err := net.Listen("tcp", at); err == nil {
		defer l.Close()
	} // else somebody holds it already
	n := serving(t, "--listen", "127.0.0.1:0")
	n.find(`(?s)level=WARN msg="no admin listener".*address already in use.*admin        (none)\n`)
}

// A file that says the default says it all the same.
func TestServeInsistsOnAWrittenDefaultPort(t *testing.T) {
	at := configs.Default().Admin.Listen.String()
	if l, err := net.Listen("tcp", at); err == nil {
		defer l.Close()
	}
	code, _, stderr := command(t, "serve", "--listen", "127.0.0.1:0", "--config", config(t, "admin: {listen: '"+at+"'}\n"))
	if code != exitFailure || !strings.Contains(stderr, "cannot listen on "+at+"/tcp") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// A node that cannot open all its ports must not keep some.
func TestServeReleasesWhatItBound(t *testing.T) {
	taken, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := netip.MustParseAddrPort("127.0.0.1:" + free(t, 1)[0])
	command(t, "serve", "--listen", addr.String(), "--listen", taken.LocalAddr().String(), "--admin", "")
	again, err := udp.Listen(addr, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestFirewall(t *testing.T) {
	var sockets []netip.AddrPort
	for _, s := range []string{"127.0.0.1:1", "192.0.2.1:1935", "[2001:db8::1]:1935", "192.0.2.1:443", "192.0.2.1:1937", "[2001:db8::1]:1936"} {
		sockets = append(sockets, netip.MustParseAddrPort(s))
	}
	want := []string{
		"nft add rule inet filter input udp dport '{ 443, 1935-1937 }' accept",
		"or: ufw allow 443/udp; ufw allow 1935:1937/udp",
	}
	if got := firewall(sockets); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	if got := firewall(sockets[1:2])[0]; got != "nft add rule inet filter input udp dport 1935 accept" {
		t.Errorf("%q", got)
	}
}

func TestServerURL(t *testing.T) {
	for _, test := range []struct{ sockets, want string }{
		{"192.0.2.1:1935 127.0.0.1:1935", "rtmfp://127.0.0.1/"},
		{"192.0.2.1:1936", "rtmfp://192.0.2.1:1936/"},
		{"[::1]:1935", "rtmfp://[::1]/"},
		{"[::1]:1936", "rtmfp://[::1]:1936/"},
	} {
		var sockets []netip.AddrPort
		for _, s := range strings.Fields(test.sockets) {
			sockets = append(sockets, netip.MustParseAddrPort(s))
		}
		if got := serverURL(sockets); got != test.want {
			t.Errorf("%s: %s, want %s", test.sockets, got, test.want)
		}
	}
}

func TestLogHidesAddresses(t *testing.T) {
	for _, test := range []struct {
		addresses configs.LogAddresses
		want      string
	}{
		{configs.AddressesFull, "a=192.0.2.77:1935 b=2001:db8:1:2ff::1"},
		{configs.AddressesPrefix, "a=192.0.2.0/24 b=2001:db8:1:200::/56"},
		{configs.AddressesNone, "a=- b=-"},
	} {
		var out bytes.Buffer
		log, _ := newLogger(&out, configs.Log{Addresses: test.addresses})
		log.Info("x", "a", netip.MustParseAddrPort("192.0.2.77:1935"), "b", netip.MustParseAddr("2001:db8:1:2ff::1"))
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s: %q, want %q", test.addresses, out.String(), test.want)
		}
	}
}

// An engine that hangs is told about, and gathers nobody who waits for it.
func TestAskGivesUp(t *testing.T) {
	n, err := build(configs.Default(), discardLogger(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	n.asking <- struct{}{} // somebody waits already
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := n.ask(ctx, nil); !errors.Is(err, errSilent) {
		t.Error(err)
	}
}

func port(hostport string) string {
	_, p, _ := net.SplitHostPort(hostport)
	return p
}
