package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pileus/cmd/natprobe/pair"
	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/relayed"
	"pileus/natprobe/report"
)

// network is a lab with a node that speaks everything.
type network struct {
	*kernel.Network
	dir string // with cert.pem and key.pem, in the names of the node's addresses
}

func startLab(t *testing.T, sites ...string) *network {
	t.Helper()
	err := kernel.Available()
	switch {
	case err == nil && (testing.Short() || raceEnabled):
		t.Skip("THE KERNEL LAB IS NOT TESTED: it waits for real time, and does so once")
	case err != nil && os.Getenv("KERNEL_LAB") == "required":
		t.Fatalf("the kernel lab cannot be tested: %v", err)
	case err != nil:
		t.Skipf("THE KERNEL LAB IS NOT TESTED: %v", err)
	}
	c := kernel.Config{Delay: 10 * time.Millisecond}
	for _, s := range sites { // of a kind, or of a kind with a suffix
		name, _, _ := strings.Cut(s, ".")
		kind, ok := labKind(name)
		if !ok {
			t.Fatalf("there is no kind %s", name)
		}
		c.Sites = append(c.Sites, kernel.Site{Label: s, Kind: kind})
	}
	up, err := kernel.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := up.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &network{up, t.TempDir()}
	n.certify(t)
	startNode(t, fmt.Sprintf(`listen: ["%v:1935", "[%[4]v]:1935"]
alternate: ["%[2]v"]
turn: {listen: [3478], users: {alice: secret}, tls: {listen: [5349], cert: %s/cert.pem, key: %[3]s/key.pem}}
admin: {listen: ""}
`, lab.FirstNodeAddress, lab.SecondNodeAddress, n.dir, n.Node().Addrs[2]), n.Node().Start)
	return n
}

// labKind is one of the lab, or N4v6: a home router with IPv6 and a firewall for it.
func labKind(name string) (lab.Kind, bool) {
	if name != "N4v6" {
		return lab.KindNamed(name)
	}
	kind, ok := lab.KindNamed("N12")
	home, _ := lab.KindNamed("N4")
	kind.Chain, kind.Looks = home.Chain, home.Looks
	return kind, ok
}

func (n *network) certify(t *testing.T) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{lab.FirstNodeAddress.AsSlice(), lab.SecondNodeAddress.AsSlice()}, IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	private, err2 := x509.MarshalECPrivateKey(key)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(n.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// natprobe is the program at a site, trusting the lab's certificate.
func (n *network) natprobe(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "SSL_CERT_FILE="+filepath.Join(n.dir, "cert.pem"))
	return cmd
}

// at runs it to its end.
func (n *network) at(t *testing.T, site string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := n.natprobe(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := n.Hosts(site)[0].Start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code says how it ends
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// Two engineers behind home routers meet directly, behind symmetric NATs through
// the relay; each is told what the other's NAT does. A splice is measured from a
// site whose NAT would let two of its own hosts meet.
func TestKernelPair(t *testing.T) {
	t.Parallel()
	// A node that gets no processor for 250 ms is a timeout of all that is in flight (RFC 7016 section
	// 3.6.2.6), after which a sender of time critical data has its window grow by a quarter each round trip:
	// half a second's load is lost with each, which within one second would be what half the rate allows.
	const lasts = "4s"
	n := startLab(t, "N4", "N4.2", "N5", "N5.2")
	for _, c := range []struct {
		first, second string
		path          pair.Path
		code          int
		class         natprobe.Class
	}{
		{"N4", "N4.2", pair.Direct, exitDirect, natprobe.PortRestricted},
		{"N5", "N5.2", pair.Relayed, exitRelay, natprobe.SymmetricRandom},
	} {
		t.Run(c.first+" "+c.second, func(t *testing.T) {
			t.Parallel()
			var out, errs said
			first := n.natprobe("pair", "--server", lab.FirstNodeAddress.String(), "--json", "--time", lasts)
			first.Stdout, first.Stderr = &out, &errs
			if err := n.Hosts(c.first)[0].Start(first); err != nil {
				t.Fatal(err)
			}
			code := errs.after(t, "the code is ")
			exit, there, more := n.at(t, c.second, "pair", "--server", lab.FirstNodeAddress.String(), "--json", "--time", lasts, "--code", code)
			_ = first.Wait() // its code says how it ends
			if exit != c.code || first.ProcessState.ExitCode() != c.code {
				t.Errorf("exit %d and %d, want %d: %s%s", exit, first.ProcessState.ExitCode(), c.code, more, &errs)
			}
			for _, text := range []string{out.String(), there} {
				conforms(t, pairSchema, text)
				r := decode[pair.Report](t, text)
				if r.Path != c.path || r.Here.Class != c.class.String() || r.There.Class != c.class.String() {
					t.Errorf("%+v", r)
				}
				// Where a starved machine has acknowledgements come in clumps, an RFC 7016 sender has six packets of
				// a thousand bytes for each round trip: it "SHOULD NOT send more than six packets containing user data
				// between receiving any acknowledgements" (section 3.5.2.3).
				clumped := 6 * 8 * 1000 / (r.LoadedRTT.Median / 1000)
				if least := min(500_000, clumped); r.RTT.Least < 39 || r.RTT.Least > 150 || r.Out.Rate < least || r.In.Rate < least {
					t.Errorf("RTT %+v, loaded %+v, out %+v, in %+v", r.RTT, r.LoadedRTT, r.Out, r.In)
				}
			}
		})
	}
	t.Run("relay", func(t *testing.T) {
		t.Parallel()
		code, out, errs := n.at(t, "N4", "relay", "--splice", lab.FirstNodeAddress.String(), "--time", "1s", "--json")
		if code != exitDirect {
			t.Fatalf("exit %d: %s", code, errs)
		}
		conforms(t, relaySchema, out)
		if r := decode[relayed.Result](t, out); r.RTT < 79 || r.RTT > 200 || r.ToRelay.Received == 0 || r.Back.Received == 0 {
			t.Errorf("twice through the node's line: %+v", r)
		}
	})
}

// What is left where UDP is blocked: TCP and TLS, of the node and of coturn. Where
// it is not, everything works.
func TestKernelFallbacks(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4", "N4.2")
	second := lab.SecondNodeAddress.String()
	turns := []string{
		"turn:alice:secret@192.0.2.1", "turn:alice:secret@192.0.2.1?transport=tcp", "turns:alice:secret@192.0.2.1",
	}
	if coturn, err := exec.LookPath("turnserver"); err != nil {
		t.Logf("COTURN IS NOT TESTED: %v", err)
	} else {
		cmd := exec.CommandContext(context.Background(), coturn, "-n", "--no-cli", "--log-file=stdout", "--lt-cred-mech", "--realm=lab", "--user=alice:secret",
			"--listening-ip="+second, "--relay-ip="+second, "--listening-port=3578", "--tls-listening-port=5449", "--pidfile="+filepath.Join(n.dir, "pid"),
			"--userdb="+filepath.Join(n.dir, "db"), "--cert="+filepath.Join(n.dir, "cert.pem"), "--pkey="+filepath.Join(n.dir, "key.pem"))
		if err := n.Node().Start(cmd); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		})
		turns = append(turns, "turn:alice:secret@192.0.2.2:3578", "turn:alice:secret@192.0.2.2:3578?transport=tcp", "turns:alice:secret@192.0.2.2:5449")
	}
	args := []string{"run", "--quick", "--json", "--server", lab.FirstNodeAddress.String()}
	for _, u := range turns {
		args = append(args, "--turn", u)
	}
	block := exec.CommandContext(t.Context(), "nft", "add table inet fault; add chain inet fault out { type filter hook output priority 0; }; add rule inet fault out meta l4proto udp drop")
	if err := n.Hosts("N4.2")[0].Start(block); err != nil {
		t.Fatal(err)
	}
	if err := block.Wait(); err != nil {
		t.Fatal(err)
	}
	for site, blocked := range map[string]bool{"N4": false, "N4.2": true} {
		t.Run(fmt.Sprintf("blocked=%v", blocked), func(t *testing.T) {
			t.Parallel()
			code, out, errs := n.at(t, site, args...)
			want := exitDirect
			if blocked {
				want = exitNoUDP
			}
			if code != want {
				t.Fatalf("exit %d, want %d: %s", code, want, errs)
			}
			r := decode[report.Report](t, out)
			works := make(map[string][]string)
			for _, s := range r.Depth.Services {
				works[s.Works.String()] = append(works[s.Works.String()], s.Name)
			}
			yes := []string{"STUN over TCP", "STUN over TLS"}
			for range len(turns) / 3 {
				if !blocked {
					yes = append(yes, "TURN over UDP")
				}
				yes = append(yes, "TURN over TCP", "TURN over TLS")
			}
			if !slices.Equal(works["yes"], yes) {
				t.Errorf("%v work, want %v: %+v", works["yes"], yes, r.Depth.Services)
			}
			if r.NoUDP != blocked || strings.HasPrefix(r.Verdict, "no UDP") != blocked {
				t.Errorf("%s", r.Verdict)
			}
		})
	}
}

// named has commands at a site find hosts by a file of their own, as in /etc/hosts.
func (n *network) named(t *testing.T, hosts string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	wrapped := exec.CommandContext(context.Background(), "unshare", append([]string{
		"--mount", "--propagation", "private", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, file,
	}, cmd.Args...)...)
	wrapped.Env = cmd.Env
	return wrapped
}

// A name is asked for at all its addresses, in the forms that people type.
func TestKernelNames(t *testing.T) {
	t.Parallel()
	n := startLab(t, "N4", "N12")
	alone := n.Node().Addrs[3] // where no node is
	six := n.natprobe("serve", "--address", alone.String())
	if err := n.Node().Start(six); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = six.Process.Kill()
		_ = six.Wait() // it was killed
	})
	hosts := fmt.Sprintf("192.0.2.77 twin.example\n%v twin.example\n%v six.example\n", lab.FirstNodeAddress, n.Node().Addrs[2])
	for _, test := range []struct {
		site  string
		args  []string
		code  int
		class natprobe.Class
		says  string
	}{
		{"N4", []string{"--server", "twin.example"}, exitDirect, natprobe.PortRestricted, "192.0.2.77:3478 did not answer"},
		{"N4", []string{"--server", "stun:twin.example:3478"}, exitDirect, natprobe.PortRestricted, "192.0.2.77:3478 did not answer"},
		{"N4", []string{"--server", "rtmfp://twin.example/"}, exitDirect, natprobe.PortRestricted, "192.0.2.77:1935 did not answer"},
		{"N4", []string{"--server", "2001:db8:ffff::1", "--server", "twin.example"}, exitDirect, natprobe.PortRestricted, "no route to [2001:db8:ffff::1]:3478"},
		{"N12", []string{"--server", "six.example"}, exitUnsure, natprobe.ClassUnknown, "add -6"},
		// A firewall is what a node sees by its introductions, whatever it has of addresses;
		// to another server it may be none.
		{"N12", []string{"-6", "--server", "turn:six.example"}, exitDirect, natprobe.Firewall, "public host behind a stateful firewall"},
		{"N12", []string{"-6", "--server", alone.String()}, exitUnsure, natprobe.ClassUnknown, "public host, filtering unknown (a server with two addresses"},
		{"N12", []string{"-6", "--server", alone.String(), "--server", "six.example"}, exitDirect, natprobe.Firewall, ""},
	} {
		t.Run(test.site+" "+strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			cmd := n.named(t, hosts, n.natprobe(append([]string{"run", "--quick", "--json"}, test.args...)...))
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := n.Hosts(test.site)[0].Start(cmd); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its code says how it ends
			if code := cmd.ProcessState.ExitCode(); code != test.code || !strings.Contains(out.String()+errs.String(), test.says) {
				t.Errorf("exit %d, want %d: %s%s", code, test.code, &out, &errs)
			}
			if out.Len() > 0 && decode[report.Report](t, out.String()).Class != test.class {
				t.Errorf("want %v: %s", test.class, &out)
			}
		})
	}
}
