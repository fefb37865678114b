package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"pileus/natprobe/binding"
	"pileus/relay/turn"
)

// allocated sends an Allocate without credentials over a connection, and gives the error code.
func allocated(t *testing.T, network, to string) int {
	t.Helper()
	c, err := net.Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest),
		stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}})
	if _, err := c.Write(m.Raw); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1500)
	n, err := c.Read(b)
	if err != nil {
		t.Fatalf("%s %s: %v", network, to, err)
	}
	answer := stun.Message{Raw: b[:n]}
	var code stun.ErrorCodeAttribute
	if answer.Decode() != nil || code.GetFrom(&answer) != nil {
		t.Fatalf("%s %s: %v", network, to, &answer)
	}
	return int(code.Code)
}

// selfSigned makes one that signs itself, and tells its file and the key's.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TURN and behaviour discovery share a UDP port.
func TestServeTURN(t *testing.T) {
	p := free(t, 3)
	file := config(t, "relay: {extra: []}\nstun: {ports: ["+p[0]+", "+p[1]+"]}\nturn: {listen: ["+p[0]+", "+p[2]+"], ports: 61000-61099, users: {alice: wonderland}}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--alternate", "127.0.0.2", "--probe-ports", "", "--admin", "127.0.0.1:0")
	n.find(`turn         .*(\d+)/tcp.*, relay ports 61000-61099/udp\n`)
	for _, network := range []string{"udp", "tcp"} {
		for _, port := range []string{p[0], p[2]} {
			if code := allocated(t, network, "127.0.0.1:"+port); code != 401 {
				t.Errorf("%s %s: %d", network, port, code)
			}
		}
	}
	a, _ := asked(t, "127.0.0.1:"+p[0], binding.Request{})
	if want := "127.0.0.2:" + p[1]; a.Other.String() != want {
		t.Errorf("other address %v, want %v", a.Other, want)
	}
	if _, from := asked(t, "127.0.0.1:"+p[0], binding.Request{ChangeIP: true, ChangePort: true}); from != a.Other {
		t.Errorf("changed both: from %v", from)
	}
	if _, from := asked(t, "127.0.0.1:"+p[1], binding.Request{ChangePort: true}); from.String() != "127.0.0.1:"+p[0] {
		t.Errorf("changed port: from %v", from)
	}
	if a, _ := asked(t, "127.0.0.1:"+p[2], binding.Request{}); a.Other.IsValid() || a.Code != 0 {
		t.Errorf("where TURN is alone: %+v", a)
	}
	_, metrics := fetch(t, n.find(`admin        (http://127\.0\.0\.1:\d+)/`)+"/metrics", "")
	for _, line := range []string{`pileus_turn_requests_total{result="401"} 4`, `pileus_turn_requests_total{result="binding"} 3`} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// Nobody was given a relay: Binding alone is answered, over TCP too.
func TestServeTURNForNobody(t *testing.T) {
	p := free(t, 2)
	file := config(t, "relay: {extra: []}\nstun: {ports: ["+p[0]+", "+p[1]+"]}\nturn: {listen: ["+p[0]+"]}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", "", "--admin", "")
	n.find(`turn         .*(\d+)/udp, .* for Binding alone; `)
	if code := allocated(t, "udp", "127.0.0.1:"+p[0]); code != 403 {
		t.Errorf("Allocate: %d", code)
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+p[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(binding.Request{}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	size, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := binding.ParseAnswer(b[:size]); err != nil || a.Seen.String() != c.LocalAddr().String() {
		t.Errorf("%+v, %v", a, err)
	}
}

// A port that somebody named must be there, a default one need not.
func TestServeTURNPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	takenUDP, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer takenUDP.Close()
	tcp, udp := port(taken.Addr().String()), port(takenUDP.LocalAddr().String())
	cert, key := selfSigned(t)
	for _, test := range []struct{ turn, want string }{
		{"listen: [" + tcp + "]", "turn.listen: cannot listen on 127.0.0.1:" + tcp + "/tcp"},
		{"listen: [" + udp + "]", "turn.listen: cannot listen on 127.0.0.1:" + udp + "/udp"},
		{"tls: {listen: [" + tcp + "], cert: " + cert + ", key: " + key + "}", "turn.tls.listen: cannot listen on 127.0.0.1:" + tcp + "/tcp"},
	} {
		file := config(t, "relay: {extra: []}\nstun: {ports: []}\nturn: {"+test.turn+"}\n")
		code, _, stderr := command(t, "serve", "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", "", "--admin", "")
		if want := test.want + ": address already in use; is another node running?"; code != exitFailure || !strings.Contains(stderr, want) {
			t.Errorf("exit %d: %s\nwant %s", code, stderr, want)
		}
	}
	busy, err := net.Listen("tcp", "127.0.0.1:3478")
	if err != nil {
		t.Logf("somebody has it already: %v", err)
	} else {
		defer busy.Close()
	}
	n := serving(t, "--listen", "127.0.0.1:0", "--probe-ports", "", "--admin", "")
	if !strings.Contains(n.banner, `key=turn.listen network=tcp sockets=1 first=127.0.0.1:3478 last=127.0.0.1:3478 error="address already in use"`) {
		t.Errorf("not warned of:\n%s", n.banner)
	}
}

func TestCheckReadsCertificates(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "cert.pem")
	file := config(t, "turn: {tls: {cert: "+missing+", key: "+missing+"}}\n")
	if code, _, stderr := command(t, "check", file); code != exitFailure || !strings.Contains(stderr, "turn.tls: ") || !strings.Contains(stderr, os.ErrNotExist.Error()) && !strings.Contains(stderr, "no such file") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// A flood of bare requests is worth at most three times what it costs, as IP packets, and no more than a second's
// answers at once, wherever Binding is answered.
func TestBindingIsNoAmplifier(t *testing.T) {
	const requests, rate = 10_000, 1000
	a1, a2 := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	n := &node{stun: &stunService{responder: new(stunResponder)}}
	n.stun.responder.ration(rate)
	n.stun.responder.servers.Store(&map[netip.Addr]binding.Server{
		a1: {Addrs: []netip.Addr{a1, a2}, Ports: [2]uint16{3478, 3479}},
	})
	for _, local := range []uint16{3478, 1935} {
		begun, answers := time.Now(), 0
		for i := range requests {
			request := binding.Request{Transaction: binding.Transaction{byte(i), byte(i >> 8)}}.Append(nil)
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(local), byte(i)}), uint16(1024+i))
			answer := n.answerBinding(turn.UDP, netip.AddrPortFrom(a1, local), from, request)
			if answer == nil {
				continue
			}
			answers++
			if in, out := len(request)+ipv4Headers, len(answer)+ipv4Headers; out > mostReflected*in {
				t.Fatalf("port %d: %d bytes out for %d", local, out, in)
			}
		}
		if most := rate + 1 + int(rate*time.Since(begun).Seconds()); answers < rate || answers > most {
			t.Errorf("port %d: %d answers, want %d to %d", local, answers, rate, most)
		}
	}
}

// bindings sends Binding requests from as many sockets, all at once, and tells how many are answered.
func bindings(t *testing.T, to string, clients int) (answered int) {
	t.Helper()
	socks := make([]net.Conn, clients)
	for i := range socks {
		c, err := net.Dial("udp4", to)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		socks[i] = c
	}
	for i, c := range socks {
		if _, err := c.Write(binding.Request{Transaction: binding.Transaction{byte(i), byte(i >> 8)}}.Append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	end, b := time.Now().Add(2*time.Second), make([]byte, 1500)
	for i, c := range socks {
		if err := c.SetReadDeadline(end); err != nil {
			t.Fatal(err)
		}
		size, err := c.Read(b)
		if err != nil {
			continue
		}
		if a, err := binding.ParseAnswer(b[:size]); err != nil || a.Code != 0 || a.Transaction != (binding.Transaction{byte(i), byte(i >> 8)}) {
			t.Errorf("client %d: %+v, %v", i, a, err)
		}
		answered++
	}
	return answered
}

// An office that starts at once is told its addresses: at the ports of STUN, TURN and RTMFP, each at its first question.
func TestServeAnswersACrowd(t *testing.T) {
	const clients = 300
	p := free(t, 3)
	file := config(t, "relay: {extra: []}\nstun: {ports: ["+p[0]+", "+p[1]+"]}\nturn: {listen: ["+p[0]+", "+p[2]+"], users: {alice: wonderland}}\n")
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", "", "--admin", "127.0.0.1:0")
	for _, port := range []string{p[0], p[2], n.find(`listening    127\.0\.0\.1:(\d+)/udp`)} {
		if got := bindings(t, "127.0.0.1:"+port, clients); got != clients {
			t.Errorf("port %s: %d of %d answered", port, got, clients)
		}
	}
	_, metrics := fetch(t, n.find(`admin        (http://127\.0\.0\.1:\d+)/`)+"/metrics", "")
	for _, line := range []string{`pileus_stun_requests_total{result="limited"} 0`, `pileus_turn_drops_total{reason="rationed"} 0`} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// A clean stop is no error, whatever TURN was doing.
func TestCleanStopIsNoError(t *testing.T) {
	p := free(t, 1)
	for _, network := range []string{"udp", "tcp"} {
		n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {ports: off, extra: []}\nstun: {ports: []}\nadmin: {listen: off}\n"+
			"turn: {listen: ["+p[0]+"], users: {alice: wonderland}}\n"))
		relay, err := allocationOver(t, network, "127.0.0.1:"+p[0], "alice", "wonderland")
		if err != nil {
			t.Fatal(err)
		}
		if code := n.end(); code != exitOK || strings.Contains(n.banner, "level=ERROR") || strings.Contains(n.banner, "nil") {
			t.Errorf("%s: exit %d:\n%s", network, code, n.banner)
		}
		relay.Close()
	}
}
