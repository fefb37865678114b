package kernel_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// needLab skips where networks cannot be made, or fails if they must be.
func needLab(t *testing.T) {
	t.Helper()
	err := kernel.Available()
	switch {
	case err == nil:
	case os.Getenv("KERNEL_LAB") == "required":
		t.Fatalf("the kernel lab cannot be tested: %v", err)
	default:
		t.Skipf("THE KERNEL LAB IS NOT TESTED: %v", err)
	}
}

func up(t *testing.T, c kernel.Config) *kernel.Network {
	t.Helper()
	needLab(t)
	n, err := kernel.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func kind(t *testing.T, name string) lab.Kind {
	t.Helper()
	k, ok := lab.KindNamed(name)
	if !ok {
		t.Fatalf("there is no kind %s", name)
	}
	return k
}

// Up itself compares each site with its kind.
func TestEveryKind(t *testing.T) {
	var sites []kernel.Site
	for _, k := range lab.Kinds() {
		sites = append(sites, kernel.Site{Kind: k})
	}
	n := up(t, kernel.Config{Sites: sites, Delay: 5 * time.Millisecond})
	if hosts := n.Hosts("N9"); len(hosts) != 2 || hosts[1].String() != "N9/b" {
		t.Errorf("N9 has the hosts %v", hosts)
	}
}

// A site that is not what it should be must not be used.
func TestVerification(t *testing.T) {
	needLab(t)
	var sites []kernel.Site
	for _, name := range []string{"N0", "N1", "N2", "N4", "N5", "N6", "N7", "N9", "N9s", "N10", "N11", "N12"} {
		k := kind(t, name)
		switch name {
		case "N0", "N1", "N7":
			k.Looks.Filtering = lab.AddressDependentFiltering
		case "N2", "N4", "N12":
			k.Looks.Mapping = lab.AddressDependentMapping
		case "N5", "N6":
			k.Looks.Allocation = lab.PreservePort
		case "N9", "N10":
			k.Looks.Hairpin = !k.Looks.Hairpin
		case "N9s": // one LAN, though the hosts should be apart
			k.Segments, k.Homes = false, true
		case "N11": // another way out
			k.Chain[0].Egress = append(k.Chain[0].Egress, netip.AddrPortFrom(lab.SecondNodeAddress, 40001))
		}
		sites = append(sites, kernel.Site{Kind: k})
	}
	n, err := kernel.Up(t.Context(), kernel.Config{Sites: sites})
	if err == nil {
		t.Fatal("all passed as what they are not", n.Close())
	}
	for _, s := range sites {
		if name := s.Kind.Name; !strings.Contains(err.Error(), fmt.Sprintf("site %s is not a %s:", name, name)) {
			t.Errorf("%s passed as what it is not", name)
		}
	}
	if left := namespacesOf(t, os.Getpid()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Log(err)
}

func namespacesOf(t *testing.T, pid int) []string {
	t.Helper()
	left, err := filepath.Glob(fmt.Sprintf("/run/netns/%s%d.*", kernel.Prefix, pid))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

func listen(t *testing.T, h *kernel.Host, port uint16) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	err := h.Do(func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addrs[0], port)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func write(t *testing.T, c *net.UDPConn, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *net.UDPConn) netip.AddrPort {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, from, err := c.ReadFromUDPAddrPort(make([]byte, 100))
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

func TestDelay(t *testing.T) {
	const delay = 10 * time.Millisecond
	n := up(t, kernel.Config{Sites: []kernel.Site{{Kind: kind(t, "N4")}}, Delay: delay})
	host, node := listen(t, n.Hosts("N4")[0], 0), listen(t, n.Node(), 0)
	best := time.Hour
	for range 5 {
		begun := time.Now()
		write(t, host, node.LocalAddr().(*net.UDPAddr).AddrPort())
		write(t, node, read(t, node))
		read(t, host)
		best = min(best, time.Since(begun))
	}
	if best < 4*delay || best > 4*delay+10*time.Millisecond {
		t.Errorf("a round trip takes %v over four lines of %v", best, delay)
	}
}

func TestLoss(t *testing.T) {
	n := up(t, kernel.Config{Sites: []kernel.Site{{Kind: kind(t, "N0")}}, Loss: 0.25})
	host, node := listen(t, n.Hosts("N0")[0], 0), listen(t, n.Node(), 0)
	const sent = 2000
	came := make(chan int)
	go func() {
		got := 0
		for _ = node.SetReadDeadline(time.Now().Add(time.Second)); ; got++ {
			if _, _, err := node.ReadFromUDPAddrPort(make([]byte, 100)); err != nil {
				break
			}
		}
		came <- got
	}()
	for i := range sent {
		write(t, host, node.LocalAddr().(*net.UDPAddr).AddrPort())
		if i%50 == 49 {
			time.Sleep(10 * time.Millisecond) // a socket's buffer holds few hundred
		}
	}
	got := <-came
	lost, unroutable, overflown := n.Dropped()
	if share := 1 - float64(got)/sent; share < 0.2 || share > 0.3 || lost != sent-uint64(got) {
		t.Errorf("%d of %d came; lost %d, unroutable %d, overflown %d", got, sent, lost, unroutable, overflown)
	}
}

// What makes N4i another kind: an early packet costs the host its port.
func TestEarlyPacketsTakePorts(t *testing.T) {
	n := up(t, kernel.Config{Sites: []kernel.Site{{Kind: kind(t, "N4i")}, {Kind: kind(t, "N4")}}})
	node := listen(t, n.Node(), 0)
	at := node.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, label := range []string{"N4", "N4i"} {
		host := listen(t, n.Hosts(label)[0], 5000)
		public := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), 5000)
		if label == "N4" {
			public = netip.AddrPortFrom(netip.MustParseAddr("198.51.100.2"), 5000)
		}
		write(t, node, public)
		time.Sleep(20 * time.Millisecond)
		write(t, host, at)
		if kept := read(t, node) == public; kept != (label == "N4") {
			t.Errorf("%s: the port was kept: %v", label, kept)
		}
	}
}

func TestPrograms(t *testing.T) {
	n := up(t, kernel.Config{Sites: []kernel.Site{{Label: "mine", Kind: kind(t, "N4")}}})
	host := n.Hosts("mine")[0]
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), "ip", "-4", "-brief", "addr")
	cmd.Stdout = &out
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), host.Addrs[0].String()) {
		t.Errorf("%v: the program sees\n%s", err, out.String())
	}
	running, err := kernel.Running()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range running {
		found = found || r.Site == "mine" && r.Namespace == host.Namespace
	}
	if !found {
		t.Errorf("not among the running hosts: %v", running)
	}
}

// The test program itself, crashed in the middle of a lab, and once more, asked
// to end by the second half of Down.
func TestDown(t *testing.T) {
	needLab(t)
	if os.Getenv("LAB_TO_CRASH") != "" {
		if _, err := kernel.Up(t.Context(), kernel.Config{Sites: []kernel.Site{{Kind: kind(t, "N8")}}}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("up")
		time.Sleep(time.Minute)
		return
	}
	for _, crash := range []bool{true, false} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestDown$")
		cmd.Env = append(os.Environ(), "LAB_TO_CRASH=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
			t.Fatal(line, err)
		}
		if crash {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
		} else {
			go func() { _ = cmd.Wait() }() // ended by Down
		}
		if len(namespacesOf(t, cmd.Process.Pid)) != 4 {
			t.Errorf("there are %v", namespacesOf(t, cmd.Process.Pid))
		}
		count, err := kernel.DownOne(fmt.Sprintf("%s%d.", kernel.Prefix, cmd.Process.Pid))
		if err != nil || count != 4 {
			t.Errorf("down of %d: %v", count, err)
		}
		left := namespacesOf(t, cmd.Process.Pid)
		locks, err := filepath.Glob(fmt.Sprintf("/run/%s%d.*", kernel.Prefix, cmd.Process.Pid))
		if len(left)+len(locks) > 0 || err != nil {
			t.Errorf("left behind: %v %v %v", left, locks, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	needLab(t)
	twice := []kernel.Site{{Kind: kind(t, "N4")}, {Kind: kind(t, "N4")}}
	for _, c := range []kernel.Config{
		{Sites: twice}, {Sites: []kernel.Site{{Label: "a-b"}}}, {Sites: []kernel.Site{{Label: "node"}}}, {Loss: 2}, {Delay: -1},
	} {
		if n, err := kernel.Up(t.Context(), c); err == nil {
			t.Errorf("%+v is valid", c)
			_ = n.Close()
		} else if errors.Is(err, os.ErrExist) {
			t.Error(err)
		}
	}
}
