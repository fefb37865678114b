package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"

	"pileus/relay/limit"
	"pileus/rtmfp/udp"
)

func TestLogin(t *testing.T) {
	s, at := serve(t, testConfig())
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	soon, gone := in(time.Hour), in(-time.Second)
	for _, test := range []struct {
		name, user, password string
		want                 int
	}{
		{"static", testUser, testPassword, 0},
		{"wrong password", testUser, "x", 401},
		{"nobody", "mallory", testPassword, 401},
		{"no name", "", "", 401},
		{"secret", soon + ":carol", Password(testSecret, soon+":carol"), 0},
		{"other secret", soon + ":carol", Password("south", soon+":carol"), 0},
		{"secret of none", soon + ":carol", Password("west", soon+":carol"), 401},
		{"time alone", soon, Password(testSecret, soon), 0},
		{"too late", gone + ":carol", Password(testSecret, gone+":carol"), 401},
		{"no time", "x:carol", Password(testSecret, "x:carol"), 401},
		{"long name", strings.Repeat("x", maxUsername+1), "x", 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := known.another(at)
			c.user, c.password = test.user, test.password
			if answer, code := c.do(stun.MethodAllocate, overUDP); code != test.want {
				t.Errorf("%v, want %d", answer, test.want)
			}
		})
	}
	users := map[string]int{}
	for _, a := range s.Allocations(time.Now()) {
		users[a.User]++
	}
	if users["carol"] != 2 || users[testUser] != 2 || users[soon] != 1 || len(users) != 3 {
		t.Errorf("users %v", users)
	}
}

// Attributes behind the signature may be anybody's.
func TestUnsignedAttributesAreIgnored(t *testing.T) {
	_, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		stun.NewUsername(c.user), stun.NewRealm(c.realm), stun.NewNonce(c.nonce), c.key(), lifetimeAttr(0))
	if answer := c.ask(m); codeFrom(answer) != 0 {
		t.Fatal(answer)
	}
	if _, code := c.do(stun.MethodRefresh); code != 0 {
		t.Errorf("the allocation is gone: %d", code)
	}
}

func TestNonce(t *testing.T) {
	n, now, who := newNoncer(), time.Unix(1<<32-100, 0), netip.MustParseAddr("203.0.113.7")
	nonce := n.mint(now, who)
	if len(nonce) != 16 {
		t.Errorf("%q", nonce)
	}
	for _, test := range []struct {
		name  string
		after time.Duration
		who   netip.Addr
		nonce string
		want  bool
	}{
		{"fresh", 0, who, nonce, true},
		{"over the end of 32 bits", 10 * time.Minute, who, nonce, true},
		{"at the end", nonceLifetime, who, nonce, true},
		{"stale", nonceLifetime + time.Second, who, nonce, false},
		{"from the future", -time.Second, who, nonce, false},
		{"another's", 0, who.Next(), nonce, false},
		{"changed", 0, who, "A" + nonce[1:], false},
		{"short", 0, who, nonce[:15], false},
		{"empty", 0, who, "", false},
	} {
		if got := n.valid(now.Add(test.after), test.who, test.nonce); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestStaleNonce(t *testing.T) {
	s, at := serve(t, testConfig())
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	c.nonce = s.rules().nonces.mint(time.Now().Add(-nonceLifetime-time.Minute), loopback)
	answer := c.ask(c.request(stun.MethodRefresh))
	if code := codeFrom(answer); code != 438 || !c.challenged(answer) {
		t.Fatal(answer)
	}
	if _, code := c.do(stun.MethodRefresh); code != 0 {
		t.Errorf("with the new nonce: %d", code)
	}
}

// Who has an allocation keeps it when his name or secret goes; nobody else gets one.
func TestReload(t *testing.T) {
	s, at := serve(t, testConfig())
	name := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10) + ":carol"
	c := dial(t, at, name, Password(testSecret, name))
	c.allocate()
	s.Reload(Credentials{Secrets: []string{"west"}}, nil)
	if _, code := c.do(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh: %d", code)
	}
	if _, code := c.another(at).do(stun.MethodAllocate, overUDP); code != 401 {
		t.Errorf("Allocate: %d", code)
	}
	c.password = Password("west", name)
	if _, code := c.another(at).do(stun.MethodAllocate, overUDP); code != 0 {
		t.Errorf("Allocate with the new secret: %d", code)
	}
}

// With neither users nor secrets there is Binding alone, until there are some.
func TestNobody(t *testing.T) {
	cfg := testConfig()
	credentials := cfg.Credentials
	cfg.Credentials = Credentials{}
	s, at := serve(t, cfg)
	c := dial(t, at, testUser, testPassword)
	if answer := c.ask(c.request(stun.MethodAllocate, overUDP)); codeFrom(answer) != 403 {
		t.Errorf("%v", answer)
	}
	if answer := c.ask(stun.MustBuild(stun.TransactionID, stun.BindingRequest)); answer.Type != stun.BindingSuccess {
		t.Errorf("%v", answer)
	}
	if st := s.Stats(); st.Bindings != 1 || st.Refused[403] != 1 {
		t.Errorf("%+v", st)
	}
	s.Reload(credentials, nil)
	c.allocate()
	s.Reload(Credentials{}, nil)
	if _, code := c.do(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh by who came before: %d", code)
	}
	if answer := c.another(at).ask(c.request(stun.MethodAllocate, overUDP)); codeFrom(answer) != 403 {
		t.Errorf("%v", answer)
	}
}

func TestQuotas(t *testing.T) {
	for name, test := range map[string]struct {
		quota limit.Quota
		other int // what bob gets when alice has her two
	}{
		"user":   {limit.Quota{Peer: 2}, 0},
		"prefix": {limit.Quota{Prefix: 2}, 486},
		"total":  {limit.Quota{Total: 2}, 486},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			limits := limit.Config{}
			limits.Quotas[limit.Allocation] = test.quota
			cfg.Limits = limit.New(limits, nil)
			_, at := serve(t, cfg)
			first := dial(t, at, testUser, testPassword)
			first.allocate()
			first.another(at).allocate(stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0}})
			third := first.another(at)
			if _, code := third.do(stun.MethodAllocate, overUDP); code != 486 {
				t.Errorf("third: %d", code)
			}
			bob := first.another(at)
			bob.user, bob.password = "bob", "builder"
			if _, code := bob.do(stun.MethodAllocate, overUDP); code != test.other {
				t.Errorf("bob: %d", code)
			}
			if test.other == 0 {
				bob.do(stun.MethodRefresh, lifetimeAttr(0))
			}
			first.do(stun.MethodRefresh, lifetimeAttr(0))
			third.allocate()
		})
	}
}

// A draining server names one like it, of the client's family, at the port that the client came to.
func TestDrain(t *testing.T) {
	cfg := testConfig()
	cfg.Alternates = []netip.Addr{netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("198.51.100.7")}
	s, at := serve(t, cfg)
	c := dial(t, at, testUser, testPassword)
	c.allocate()
	told := func(c *client) string {
		t.Helper()
		answer, code := c.do(stun.MethodAllocate, overUDP)
		var other stun.AlternateServer
		if err := other.GetFrom(answer); err != nil {
			return fmt.Sprint(code)
		}
		return fmt.Sprint(code, " ", net.JoinHostPort(other.IP.String(), strconv.Itoa(other.Port)))
	}
	six, err := udp.Listen(netip.AddrPortFrom(netip.IPv6Loopback(), 0), udp.Options{})
	if err != nil {
		t.Skip("SKIPPED: no IPv6 here: ", err)
	}
	go func() { _ = s.ServePacket(six) }()
	s.Drain(true)
	if got, want := told(c.another(at)), fmt.Sprintf("300 198.51.100.7:%d", at.Port()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := told(dial(t, six.LocalAddr(), testUser, testPassword)), fmt.Sprintf("300 [2001:db8::7]:%d", six.LocalAddr().Port()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, code := c.do(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh: %d", code)
	}
	// Without one of the client's family.
	s.Reload(cfg.Credentials, cfg.Alternates[:1])
	if got := told(c.another(at)); got != "486" {
		t.Errorf("without alternate: %s", got)
	}
	s.Drain(false)
	c.another(at).allocate()
	s.cfg.Limits.Drain(true)
	if got := told(c.another(at)); got != "486" {
		t.Errorf("the node drains: %s", got)
	}
	s.Reload(cfg.Credentials, cfg.Alternates)
	if got, want := told(c.another(at)), fmt.Sprintf("300 198.51.100.7:%d", at.Port()); got != want {
		t.Errorf("the node drains: %s, want %s", got, want)
	}
}

// abandoned is as long as an allocation of these tests lasts.
const abandoned = 1500 * time.Millisecond

func TestAbandonedAllocationsEnd(t *testing.T) {
	const clients = 100
	cfg := testConfig()
	cfg.Limits = limit.New(limit.Config{Quotas: [2]limit.Quota{limit.Allocation: {Total: clients}}}, nil)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.lifetime = abandoned
	at := start(t, s)
	before := runtime.NumGoroutine()
	peer := listenUDP(t, elsewhere)
	echo(peer)
	first := dial(t, at, testUser, testPassword)
	for i := range clients {
		c := first
		if i > 0 {
			c = first.another(at)
		}
		c.allocate()
		if code := c.bind(0x4000, unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort())); code != 0 {
			t.Fatal(code)
		}
		c.send(channelData(0x4000, []byte("hello")))
		if c.read(5*time.Second) == nil {
			t.Fatal("no echo")
		}
	}
	eventually(t, "gone", func() bool { return s.Stats().Allocations[UDP] == 0 })
	if n := len(s.Allocations(time.Now())); n != 0 {
		t.Errorf("%d allocations", n)
	}
	eventually(t, "without their goroutines", func() bool { return runtime.NumGoroutine() <= before+5 })
	s.mu.Lock()
	for f := range s.fronts {
		f.mu.RLock()
		if n := len(f.allocations); n != 0 {
			t.Errorf("%d are remembered", n)
		}
		f.mu.RUnlock()
	}
	s.mu.Unlock()
	first.another(at).allocate() // the quota is free again
}

// Answers to who has proved nothing: each at most three times the question in IP packets, and no more to a
// prefix than its second's worth, at once and in each second after.
func TestChallengesAreRationed(t *testing.T) {
	const (
		seconds = 5
		flood   = 4000 // requests a second
	)
	bare := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw
	for _, test := range []struct{ rate, want int }{
		{0, answersPerPrefix * seconds},
		{50, 50 * seconds},
		{-1, flood * seconds},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := testConfig()
			cfg.AnswersPerPrefix = test.rate
			s, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			l := &sink{}
			f := newFront(s, l, UDP, netip.MustParseAddrPort("127.0.0.1:3478"))
			for i := range flood * seconds {
				if i%(flood/10) == 0 {
					time.Sleep(time.Second / 10)
				}
				f.take(nil, bare, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(1024+i)))
			}
			if l.packets < test.want || l.packets > test.want+test.want/seconds {
				t.Errorf("%d a second: %d answers, want some %d", test.rate, l.packets, test.want)
			}
			if got := s.Stats().Drops[DropRationed]; got != uint64(flood*seconds-l.packets) {
				t.Errorf("%d are counted as dropped, %d had no answer", got, flood*seconds-l.packets)
			}
			// Another prefix is not held back, nor is an answer as long as its request.
			l.packets = 0
			f.take(nil, bare, netip.MustParseAddrPort("192.0.2.1:9"))
			padded := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewSoftware(strings.Repeat("x", 80)))
			f.take(nil, padded.Raw, netip.MustParseAddrPort("203.0.113.1:9"))
			if l.packets != 2 {
				t.Errorf("%d answers, want 2", l.packets)
			}
			// What is set anew holds.
			s.SetAnswersPerPrefix(1)
			l.packets = 0
			for range 3 {
				f.take(nil, bare, netip.MustParseAddrPort("192.0.2.1:9"))
			}
			if l.packets != 1 {
				t.Errorf("%d answers, want 1", l.packets)
			}
			s.Close()
		})
	}
}

// What a stranger may be told, in IP packets of either family: RFC 8489 section 7.3.1 has them answered, and
// nobody is to be shot at by it.
func TestChallengesAreSmall(t *testing.T) {
	const times = 3
	s, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	nobody := testConfig()
	nobody.Credentials = Credentials{}
	empty, err := New(nobody)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	for name, question := range map[string][]stun.Setter{
		"bare":               nil,
		"with a fingerprint": {stun.Fingerprint},
		"as clients do":      {overUDP},
		"signed by nobody":   {stun.NewShortTermIntegrity("x")},
		"a wrong password":   {stun.NewUsername("x"), stun.NewRealm("x"), stun.NewNonce("x"), stun.NewShortTermIntegrity("x")},
		"a wrong time":       {stun.NewUsername("1"), stun.NewRealm("x"), stun.NewNonce("x"), stun.NewShortTermIntegrity("x")},
		"a stale nonce":      {stun.NewUsername(testUser), stun.NewRealm("pileus"), stun.NewNonce("x"), stun.NewLongTermIntegrity(testUser, "pileus", testPassword)},
	} {
		for _, server := range []*Server{s, empty} {
			for _, method := range []stun.Method{stun.MethodAllocate, stun.MethodRefresh} {
				for _, from := range []string{"203.0.113.1:9", "[2001:db8::1]:9"} {
					l, client := &sink{}, netip.MustParseAddrPort(from)
					m := stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, question...)...)
					newFront(server, l, UDP, netip.MustParseAddrPort("127.0.0.1:3478")).take(nil, m.Raw, client)
					if l.packets != 1 {
						t.Fatalf("%s: %d answers", name, l.packets)
					}
					in, out := ipBytes(len(m.Raw), client.Addr()), ipBytes(l.bytes, client.Addr())
					if out > times*in {
						t.Errorf("%v, %s: %d bytes for %d", method, name, out, in)
					}
				}
			}
		}
	}
	bare := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	l := &sink{}
	newFront(s, l, UDP, netip.MustParseAddrPort("127.0.0.1:3478")).take(nil, bare.Raw, netip.MustParseAddrPort("203.0.113.1:9"))
	if l.bytes > 76 {
		t.Errorf("a bare Allocate is answered with %d bytes, want 76 at most", l.bytes)
	}
}

// sink is a link that nothing comes from.
type sink struct{ packets, bytes int }

func (*sink) next() ([]byte, netip.AddrPort, error) {
	return nil, netip.AddrPort{}, errors.ErrUnsupported
}

func (s *sink) send(p []byte, _ netip.AddrPort) error {
	s.packets++
	s.bytes += len(p)
	return nil
}

func (*sink) close() error { return nil }

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"ports":   func(c *Config) { c.LastPort = c.FirstPort - 1 },
		"relays":  func(c *Config) { c.Relays = nil },
		"limits":  func(c *Config) { c.Limits = nil },
		"binding": func(c *Config) { c.Binding = nil },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("without %s there is a server", name)
		}
	}
}

// The last port of a range is found however many are taken.
func TestLastPort(t *testing.T) {
	cfg := testConfig()
	cfg.FirstPort, cfg.LastPort = 62000, 62019 // above what systems give to sockets of their own choice
	_, at := serve(t, cfg)
	first := dial(t, at, testUser, testPassword)
	first.allocate()
	seen := map[string]bool{}
	for range 19 {
		seen[fmt.Sprint(first.another(at).allocate())] = true
	}
	if len(seen) != 19 {
		t.Errorf("%d ports", len(seen))
	}
	if _, code := first.another(at).do(stun.MethodAllocate, overUDP); code != 508 {
		t.Errorf("one more: %d", code)
	}
}
