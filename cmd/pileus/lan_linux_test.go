package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// office is a network with a node and a client, behind a router that forwards the node's ports, and a client elsewhere
// behind a router of its own. Both routers give each flow another port, let in what answers alone, and turn nothing
// around.
type office struct{ node, inner, outer, router, home machine }

func newOffice(t *testing.T) *office {
	t.Helper()
	needs(t, map[string]string{"nft": "nftables"})
	o := &office{newMachine(t), newMachine(t), newMachine(t), newMachine(t), newMachine(t)}
	cable := func(a machine, nameA string, b machine, nameB string) {
		a.host("link add " + nameA + " netns " + a.name + " type veth peer name " + nameB + " netns " + b.name)
		a.ip("link set " + nameA + " up")
		b.ip("link set " + nameB + " up")
	}
	o.router.ip("link add lan type bridge")
	o.router.ip("link set lan up")
	o.router.ip("addr add 192.168.1.1/24 dev lan")
	for i, m := range []machine{o.node, o.inner} {
		port := []string{"p0", "p1"}[i]
		cable(o.router, port, m, "eth0")
		o.router.ip("link set " + port + " master lan")
		m.ip("addr add " + []string{"192.168.1.10/24", "192.168.1.20/24"}[i] + " dev eth0")
		m.ip("route add default via 192.168.1.1")
	}
	cable(o.router, "wan", o.home, "wan")
	o.router.ip("addr add 203.0.113.1/24 dev wan")
	o.home.ip("addr add 203.0.113.99/24 dev wan")
	cable(o.home, "lan", o.outer, "eth0")
	o.home.ip("addr add 10.9.9.1/24 dev lan")
	o.outer.ip("addr add 10.9.9.2/24 dev eth0")
	o.outer.ip("route add default via 10.9.9.1")
	for _, r := range []machine{o.router, o.home} {
		r.sysctl("net.ipv4.ip_forward=1")
		r.nft(`add table ip t
add chain ip t in { type nat hook prerouting priority -100; }
add chain ip t out { type nat hook postrouting priority 100; }
add chain ip t through { type filter hook forward priority 0; policy drop; }
add rule ip t out oifname "wan" masquerade random,fully-random
add rule ip t through ct state established,related accept
add rule ip t through iifname "lan" accept
add rule ip t through ct status dnat accept
`)
	}
	o.router.nft(`add rule ip t in iifname "wan" udp dport { 443, 1935-1943, 3478, 3479, 20000-20019 } dnat to 192.168.1.10
`)
	return o
}

func (m machine) nft(rules string) {
	m.t.Helper()
	c := exec.Command("ip", "netns", "exec", m.name, "nft", "-f", "-")
	c.Stdin = strings.NewReader(rules)
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("nft: %v\n%s", err, out)
	}
}

// plays has a peer of one network publish and one of the other play, and tells where the latter reached the former.
func (o *office) plays(t *testing.T, publisher machine, at string, player machine, where, name string) string {
	t.Helper()
	p := publisher.start("peer", "--server", "rtmfp://"+at+"/", "--name", name, "--publish", "cam", "--pattern")
	defer p.end()
	p.await("known as")
	c := in(t.Context(), player.name, os.Args[0], "peer", "--server", "rtmfp://"+where+"/", "--play", name+"/cam", "--timeout", "15s")
	c.Env = append(os.Environ(), asProgram+"=1")
	said := &strings.Builder{}
	c.Stderr = said
	stream, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	got := make(chan int, 1)
	go func() {
		n, err := stream.Read(make([]byte, 1000))
		if err != nil {
			n = 0
		}
		got <- n
	}()
	select {
	case n := <-got:
		_ = c.Process.Kill()
		_ = c.Wait()
		if n == 0 {
			t.Errorf("%s plays nothing from %s:\n%s", where, at, said)
		}
	case <-time.After(25 * time.Second):
		_ = c.Process.Kill()
		_ = c.Wait()
		t.Errorf("%s plays nothing from %s:\n%s", where, at, said)
	}
	for line := range strings.Lines(said.String()) {
		if f := strings.Fields(line); len(f) > 4 && f[0] == "reached" {
			return strings.TrimSuffix(f[4], ",")
		}
	}
	return ""
}

// A client in the node's own network and one outside meet by the relay, without the operator's help: each is told the
// name of the relay that it can reach.
func TestNodesOwnNetwork(t *testing.T) {
	o := newOffice(t)
	o.node.serve("--public", "192.168.1.10=203.0.113.1", "--relay-ports", "20000-20019")
	if at := o.plays(t, o.outer, "203.0.113.1", o.inner, "192.168.1.10", "far"); !strings.HasPrefix(at, "192.168.1.10:200") {
		t.Errorf("the client inside reached %q, want the relay inside", at)
	}
	if at := o.plays(t, o.inner, "192.168.1.10", o.outer, "203.0.113.1", "near"); !strings.HasPrefix(at, "203.0.113.1:200") {
		t.Errorf("the client outside reached %q, want the relay outside", at)
	}
}

// Without its outside name a node cannot be reached at relay ports: it says so once somebody from outside is there.
func TestNodeMissesItsOutsideName(t *testing.T) {
	o := newOffice(t)
	node := o.node.serve("--relay-ports", "20000-20019")
	if strings.Contains(node.banner, "public: {") {
		t.Errorf("nobody from outside is there:\n%s", node.banner)
	}
	p := o.outer.start("peer", "--server", "rtmfp://203.0.113.1/", "--name", "far", "--publish", "cam", "--pattern")
	node.await(`public: {192.168.1.10: `)
	p.end()
	node.end()
	if n := strings.Count(node.banner, "public: {"); n != 1 {
		t.Errorf("told %d times:\n%s", n, node.banner)
	}
}
