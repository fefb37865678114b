package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// machine is a network namespace that stands for a machine of its own. It has
// loopback, and what a test gives it.
type machine struct {
	t    *testing.T
	name string
}

var machines atomic.Int32

func newMachine(t *testing.T) machine {
	t.Helper()
	needs(t, map[string]string{"ip": "iproute2", "sysctl": "procps"})
	m := machine{t, fmt.Sprintf("node%d-%d", os.Getpid(), machines.Add(1))}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", m.name).Run() })
	m.host("netns add " + m.name)
	m.ip("link set lo up")
	return m
}

// card gives it the interface eth0, whose far end is eth1, with addresses.
func (m machine) card(addrs ...string) {
	m.t.Helper()
	m.ip("link add eth0 type veth peer name eth1")
	for _, a := range addrs {
		m.ip("addr add " + a + " dev eth0")
	}
	m.ip("link set eth1 up")
	m.ip("link set eth0 up")
}

// host runs ip outside, ip inside of the machine.
func (m machine) host(args string) { m.t.Helper(); m.run("ip", strings.Fields(args)...) }

func (m machine) ip(args string) {
	m.t.Helper()
	m.run("ip", append([]string{"-n", m.name}, strings.Fields(args)...)...)
}

func (m machine) sysctl(setting string) {
	m.t.Helper()
	m.run("ip", "netns", "exec", m.name, "sysctl", "-qw", setting)
}

func (m machine) run(program string, args ...string) {
	m.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		m.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// A task is this program, run on a machine.
type task struct {
	*exec.Cmd
	t      *testing.T
	lines  chan string
	banner string
}

// start runs this program there until the test ends.
func (m machine) start(args ...string) *task {
	m.t.Helper()
	return m.startAs(`exec "$@"`, args...)
}

// startAs is start by a shell, which has the command line as its arguments.
func (m machine) startAs(shell string, args ...string) *task {
	m.t.Helper()
	p := &task{Cmd: in(m.t.Context(), m.name, append([]string{"sh", "-c", shell, "sh", os.Args[0]}, args...)...), t: m.t, lines: make(chan string, 1000)}
	p.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { p.end() })
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// serve starts a node and waits for its banner.
func (m machine) serve(args ...string) *task {
	m.t.Helper()
	p := m.start(append([]string{"serve"}, args...)...)
	p.await("  stop ")
	return p
}

// await waits for a line that has text in it.
func (p *task) await(text string) {
	p.t.Helper()
	for patience := time.After(20 * time.Second); ; {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended with %d; no %q in:\n%s", p.ended(), text, p.banner)
			}
			p.banner += line + "\n"
			if strings.Contains(line, text) {
				return
			}
		case <-patience:
			p.t.Fatalf("no %q in:\n%s", text, p.banner)
		}
	}
}

// end stops it and gives its exit code.
func (p *task) end() int {
	if p.ProcessState == nil {
		_ = p.Process.Signal(syscall.SIGTERM)
	}
	return p.ended()
}

// ended is the exit code of one that ends by itself.
func (p *task) ended() int {
	if p.ProcessState == nil {
		for line := range p.lines {
			p.banner += line + "\n"
		}
		_ = p.Wait() // the code says it
	}
	return p.ProcessState.ExitCode()
}

// IPv6 is off in containers by default, and on many hosts: a node serves what there
// is.
func TestServeWithoutIPv6(t *testing.T) {
	m := newMachine(t)
	m.sysctl("net.ipv6.conf.all.disable_ipv6=1")
	m.sysctl("net.ipv6.conf.default.disable_ipv6=1")
	m.card("198.51.100.1/24")
	for _, args := range [][]string{nil, {"--listen", ":1935"}, {"--listen", "0.0.0.0:1935", "--listen", "[::]:1935"}} {
		p := m.serve(args...)
		if !strings.Contains(p.banner, "198.51.100.1:1935/udp\n") || !strings.Contains(p.banner, "127.0.0.1:1935/udp\n") {
			t.Errorf("%q:\n%s", args, p.banner)
		}
		if code := p.end(); code != exitOK {
			t.Errorf("%q: exit %d\n%s", args, code, p.banner)
		}
	}
	// What is asked for and not there at all stays an error.
	p := m.start("serve", "--listen", "[::]:1935")
	p.await("no address of this machine is IPv6")
	if code := p.ended(); code != exitFailure {
		t.Errorf("exit %d\n%s", code, p.banner)
	}
}
