package pair

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startNode has a node serve on loopback.
func startNode(t *testing.T) netip.AddrPort {
	t.Helper()
	return serve(t, introducer.New(introducer.Config{Log: slog.New(slog.DiscardHandler)}))
}

func serve(t *testing.T, h rtmfp.Handler) netip.AddrPort {
	t.Helper()
	identity, err := flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true})
	if err != nil {
		t.Fatal(err)
	}
	socket, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := rtmfp.NewEndpoint(rtmfp.Config{Identity: identity, Handler: h}, []rtmfp.Socket{socket}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = endpoint.Serve(context.Background()) // it is closed
	}()
	t.Cleanup(func() {
		endpoint.Close()
		<-served
	})
	return socket.LocalAddr()
}

// side is one of the two, in a hurry.
func side(node netip.AddrPort, c Code, first bool) *runner {
	name, stream, _ := c.keys()
	return &runner{
		cfg: Config{
			Server: node, Code: c, First: first, Host: "a host",
			Rate: 400_000, Time: 300 * time.Millisecond, Phase: func(string) {}, Ready: func() {},
		},
		name: name, stream: stream, over: make(chan struct{}),
		limits: patience{server: 2 * time.Second, settle: 10 * time.Millisecond, meet: 3 * time.Second, code: 10 * time.Second},
	}
}

type result struct {
	report Report
	err    error
}

// start has the first side run, and returns when the other may come.
func start(t *testing.T, first *runner) chan result {
	t.Helper()
	ready, done := make(chan struct{}), make(chan result, 1)
	first.cfg.Ready = func() { close(ready) }
	go func() {
		report, err := first.run(t.Context())
		done <- result{report, err}
	}()
	select {
	case <-ready:
	case r := <-done:
		t.Fatalf("the first does not wait: %v", r.err)
	}
	return done
}

// Two meet by a code, once: neither who only knows the name that it makes, nor
// who comes later, meets the first.
func TestMeet(t *testing.T) {
	node, code := startNode(t), NewCode()
	waiting := start(t, side(node, code, true))

	thief := side(node, code, false)
	thief.stream = "pair/something"
	if _, err := thief.run(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses") {
		t.Errorf("who does not know the code: %v", err)
	}

	second := side(node, code, false)
	second.cfg.Rate = 800_000
	there, err := second.run(t.Context())
	here := <-waiting
	if err != nil || here.err != nil {
		t.Fatal(err, here.err)
	}
	for _, r := range []Report{here.report, there} {
		if r.Path != Direct || r.Strategy != "punch" || r.Reason == "" || r.Took == 0 || r.There.Host != "a host" || len(r.Notes) > 0 {
			t.Errorf("%+v", r)
		}
		for _, w := range []Way{r.In, r.Out} {
			if r.Asked != 400_000 || w.Sent != 15 || w.Received != 15 || w.Rate < 300_000 || w.Rate > 401_000 {
				t.Errorf("asked for %v: %+v", r.Asked, w)
			}
		}
		if r.RTT.Count < 10 || r.RTT.Least > r.RTT.Median || r.RTT.Median > r.RTT.Most {
			t.Errorf("RTT %+v", r.RTT)
		}
	}
	if there.Far != here.report.Here.Public || there.Seen != there.Here.Public {
		t.Errorf("addresses: %+v, %+v", here.report, there)
	}

	if _, err := side(node, code, false).run(t.Context()); err == nil || !strings.Contains(err.Error(), "used already") {
		t.Errorf("a code used again: %v", err)
	}
}

func TestNobodyComes(t *testing.T) {
	r := side(startNode(t), NewCode(), true)
	r.limits.code = 50 * time.Millisecond
	if _, err := r.run(t.Context()); err == nil || !strings.Contains(err.Error(), "void") {
		t.Error(err)
	}
}

func TestInterrupted(t *testing.T) {
	r := side(startNode(t), NewCode(), true)
	ctx, cancel := context.WithCancel(t.Context())
	r.cfg.Ready = cancel
	if _, err := r.run(ctx); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Error(err)
	}
}

// Whoever is interrupted tells what is known, and so does the other.
func TestLeftEarly(t *testing.T) {
	node, code := startNode(t), NewCode()
	waiting := start(t, side(node, code, true))
	second := side(node, code, false)
	ctx, cancel := context.WithCancel(t.Context())
	second.cfg.Phase = func(phase string) {
		if strings.HasPrefix(phase, "sending") {
			cancel()
		}
	}
	there, err := second.run(ctx)
	here := <-waiting
	if err != nil || here.err != nil {
		t.Fatal(err, here.err)
	}
	for _, r := range []Report{here.report, there} {
		if r.Path != Direct || len(r.Notes) == 0 || r.RTT.Count == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// halfDeaf is a server that lets everybody in, and answers no call but those it is said to.
type halfDeaf struct{ *netconn.Server }

func (halfDeaf) Hello(*rtmfp.Engine, rtmfp.Hello) {}

type halfDeafConn struct {
	*netconn.Conn
	answers map[string]amf.Value
}

func (c halfDeafConn) Connect(netconn.Request)    { _ = c.Accept() }
func (halfDeafConn) SetPeerInfo([]netip.AddrPort) {}
func (halfDeafConn) Moved()                       {}
func (halfDeafConn) Closed(error)                 {}
func (c halfDeafConn) Command(cmd netconn.Command) bool {
	if v, ok := c.answers[cmd.Name]; ok {
		_ = c.Result(cmd.Transaction, v)
	}
	return true
}

// A server that does not answer a call is not waited for without end.
func TestDeafServer(t *testing.T) {
	somebody := amf.Object{{Name: "peerID", Value: amf.String(strings.Repeat("ab", 32))}}
	for name, test := range map[string]struct {
		answers map[string]amf.Value
		first   bool
		says    string
		path    Path
	}{
		"register":    {nil, true, "does not answer calls", ""},
		"lookup":      {nil, false, "does not answer calls", ""},
		"explanation": {map[string]amf.Value{"presence.lookup": somebody}, false, "", NotMet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := halfDeaf{netconn.NewServer(netconn.ServerConfig{}, func(c *netconn.Conn) netconn.ServerHandler { return halfDeafConn{c, test.answers} })}
			r := side(serve(t, h), NewCode(), test.first)
			r.limits.server, r.limits.meet = 500*time.Millisecond, 500*time.Millisecond
			began := time.Now()
			report, err := r.run(t.Context())
			if time.Since(began) > 10*time.Second || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) || report.Path != test.path && err == nil {
				t.Errorf("%v: %+v, %v", time.Since(began), report, err)
			}
		})
	}
}

func TestNoUDP(t *testing.T) {
	closed, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closed.Close()
	r := side(closed.LocalAddr().(*net.UDPAddr).AddrPort(), NewCode(), true)
	r.limits.server = 100 * time.Millisecond
	if _, err := r.run(t.Context()); !errors.Is(err, ErrNoUDP) {
		t.Error(err)
	}
}

func TestCode(t *testing.T) {
	c := NewCode()
	for _, s := range []string{c.String(), c.text, strings.ToLower(c.String()), " " + c.text[:3] + " " + c.text[3:] + " ", strings.NewReplacer("0", "o", "1", "l").Replace(c.String())} {
		if got, err := ParseCode(s); err != nil || got != c {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", c.text[1:], c.text + "0", "UUUUU-UUUUU", "ÄÄÄÄÄ"} {
		if _, err := ParseCode(s); err == nil || !strings.Contains(err.Error(), "no code") {
			t.Errorf("%q: %v", s, err)
		}
	}
	for i := range len(c.text) - 1 {
		for _, other := range alphabet {
			wrong := c.text[:i] + string(other) + c.text[i+1:]
			if _, err := ParseCode(wrong); (err == nil) != (wrong == c.text) {
				t.Errorf("%s for %v: %v", wrong, c, err)
			}
		}
	}
	if bits := 5 * (codeLength - 1); bits < 40 || Lifetime != 10*time.Minute || usual.code != Lifetime {
		t.Errorf("%d bits for %v", bits, usual.code)
	}
	if NewCode() == c {
		t.Error("two codes are one")
	}
	name, stream, err := c.keys()
	if err != nil || name == stream || len(name) > 64 || strings.Contains(name, c.text) {
		t.Errorf("%s, %s, %v", name, stream, err)
	}
}

func TestArrivals(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	var a arrivals
	if w := a.way(0, 0); w != (Way{}) {
		t.Errorf("nothing is %+v", w)
	}
	// The far clock is 1000 s behind; every second message is 16 ms late.
	for i := range 10 {
		a.add(1000*time.Second+ms(20*i+16*(i%2)), ms(20*i), 1000)
	}
	w := a.way(20, ms(200))
	if w.Sent != 20 || w.Received != 10 || w.Loss != 0.5 || w.Rate < 399_999 || w.Rate > 400_001 || w.Jitter < 6 || w.Jitter > 8 {
		t.Errorf("%+v", w)
	}
}

// What another host says is kept within what can be, and fit for a terminal.
func TestStrangeWords(t *testing.T) {
	w := Way{Sent: -1, Received: 1 << 40, Loss: -3, FragmentLoss: 7, Rate: -1, Jitter: -1}.cleaned()
	if w != (Way{FragmentLoss: 1}) {
		t.Errorf("%+v", w)
	}
	s := Side{Host: "\x1b[2Jhost\n", Class: strings.Repeat("x", 1000), Local: make([]netip.AddrPort, 1000)}.cleaned()
	if s.Host != "[2Jhost" || len(s.Class) != maxWords || len(s.Local) != maxLocal {
		t.Errorf("%+v", s)
	}
	test := &test{r: &runner{cfg: Config{Rate: 1, Time: 1}}}
	for _, b := range [][]byte{nil, {echoReply}, make([]byte, 12), make([]byte, 14)} {
		test.heardEcho(b)
	}
	if len(test.echoes) > 0 {
		t.Error("an echo of nothing counts")
	}
}

func TestText(t *testing.T) {
	at := netip.MustParseAddrPort
	home := Side{ID: "1", Host: "alice", Class: "port-restricted", Mapping: "EIM", Filtering: "APDF", Public: at("198.51.100.1:40000"), Advice: "Fine."}
	symmetric := Side{ID: "2", Host: "bob", Class: "symmetric-random", Mapping: "APDM", Filtering: "APDF", Public: at("198.51.100.2:40000"), Advice: "Forward a port."}
	relayed := Report{
		Path: Relayed, Strategy: "relay", Reason: "ports do not fit", Took: 169, Here: home, There: symmetric, Far: at("192.0.2.1:20000"), Seen: at("192.0.2.1:20001"),
		RTT: RTT{Least: 81.7, Median: 83.4, Most: 84.9, Count: 30}, Asked: 1e6, Out: Way{Sent: 500, Received: 499, FragmentLoss: 0.01, Rate: 998_000, Jitter: 0.5}, In: Way{Sent: 500, Received: 500, Rate: 1e6, Jitter: 0.4},
	}
	for _, c := range []struct {
		report Report
		want   string
	}{
		{relayed, `met through the relay of the node, 192.0.2.1:20000, 169ms after the call
  strategy    relay: ports do not fit
  here        alice, port-restricted (mapping EIM, filtering APDF), 198.51.100.1:40000 to the node
  there       bob, symmetric-random (mapping APDM, filtering APDF), 198.51.100.2:40000 to the node
  RTT         83.4 ms, 81.7 to 84.9 in 30 tries
  out         998 kbit/s of 1000, 1.0 % of the packets lost (1 of 500 messages for good), jitter 0.5 ms
  in          1000 kbit/s of 1000, 0.0 % of the packets lost (0 of 500 messages for good), jitter 0.4 ms
  advice      here: Fine.
  advice      there: Forward a port.
`},
		{Report{Path: Direct, Far: at("198.51.100.2:40001"), Here: home, There: symmetric, Seen: home.Public, Notes: []string{"the other side left early"}}, `met directly: 198.51.100.2:40001
  here        alice, port-restricted (mapping EIM, filtering APDF), 198.51.100.1:40000 to the node
  there       bob, symmetric-random (mapping APDM, filtering APDF), 198.51.100.2:40000 to the node, 198.51.100.2:40001 to the other side
  note        the other side left early
`},
		{Report{Path: NotMet, Reason: "no session within 30s", Advice: "Try again.", Here: Side{Host: "alice"}}, `did not meet
  reason      no session within 30s
  advice      Try again.
  here        alice, its NAT is not known
`},
	} {
		var b bytes.Buffer
		if err := c.report.WriteText(&b); err != nil || b.String() != c.want {
			t.Errorf("%v\n%s\nwant\n%s", err, b.String(), c.want)
		}
	}
}
