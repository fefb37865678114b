//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/udp"
)

// process is a serve in a process of its own.
type process struct {
	*exec.Cmd
	addr  netip.AddrPort
	lines chan string
}

func startServe(t *testing.T) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--admin", ""), lines: make(chan string, 100)}
	p.Env = append(os.Environ(), asProgram+"=1")
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() })
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	listening := regexp.MustCompile(`listening +(\S+)/udp`)
	for line := range p.lines {
		if m := listening.FindStringSubmatch(line); m != nil {
			p.addr = netip.MustParseAddrPort(m[1])
		}
		if strings.HasPrefix(line, "  stop") {
			return p
		}
	}
	t.Fatal("serve ended without a banner")
	return nil
}

// end gives the exit code and the rest of what was printed.
func (p *process) end() (code int, rest string) {
	for line := range p.lines {
		rest += line + "\n"
	}
	_ = p.Wait() // the code says it
	return p.ProcessState.ExitCode(), rest
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// client is the far end of one session with a node.
type client struct {
	opened chan struct{}
	closed chan error
}

func (client) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (client) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }
func (c client) Opened(*rtmfp.Session)                    { close(c.opened) }
func (client) Moved(*rtmfp.Session)                       {}
func (c client) Closed(_ *rtmfp.Session, err error)       { c.closed <- err }
func (client) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{}, nil
}

// connect opens a session with the node at addr. leave ends the client without
// a word to the node.
func connect(t *testing.T, addr netip.AddrPort) (c client, leave func()) {
	t.Helper()
	identity, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c = client{opened: make(chan struct{}), closed: make(chan error, 1)}
	ep, err := rtmfp.NewEndpoint(rtmfp.Config{Identity: identity, Handler: c, KeyPool: -1}, []rtmfp.Socket{conn}, 0)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- ep.Serve(context.Background()) }()
	leave = func() {
		ep.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	if err := ep.Do(func(e *rtmfp.Engine) {
		if _, err := e.Open(rtmfp.Target{
			EPD:   flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://127.0.0.1/")},
			Addrs: []netip.AddrPort{addr},
		}, c); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.opened:
	case err := <-c.closed:
		t.Fatalf("no session: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("no session")
	}
	return c, leave
}

func TestFirstSignalClosesPolitely(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := startServe(t)
		c, leave := connect(t, p.addr)
		p.signal(t, s)
		select {
		case err := <-c.closed:
			if !errors.Is(err, rtmfp.ErrFarClosed) {
				t.Errorf("%v: the client's session ended with %v", s, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%v: the client was not told", s)
		}
		if code, rest := p.end(); code != exitOK || !strings.Contains(rest, "msg=stopping") {
			t.Errorf("%v: exit %d, %q", s, code, rest)
		}
		leave()
	}
}

// A client that is gone would hold the node for its grace.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startServe(t)
	_, leave := connect(t, p.addr)
	leave()
	p.signal(t, syscall.SIGTERM)
	if line := <-p.lines; !strings.Contains(line, "msg=stopping") {
		t.Errorf("%q", line)
	}
	p.signal(t, syscall.SIGTERM) // of the same instant as the first
	time.Sleep(2 * sameInstant)
	start := time.Now()
	p.signal(t, syscall.SIGTERM)
	code, rest := p.end()
	if code != exitFailure || !strings.Contains(rest, "pileus: ended at once") {
		t.Errorf("exit %d, %q", code, rest)
	}
	if took := time.Since(start); took > closeGrace/2 {
		t.Errorf("it took %v", took)
	}
}

// Without a second signal the node waits for its clients, but not for ever.
func TestGraceEnds(t *testing.T) {
	p := startServe(t)
	_, leave := connect(t, p.addr)
	leave()
	p.signal(t, syscall.SIGTERM)
	start := time.Now()
	if code, rest := p.end(); code != exitOK {
		t.Errorf("exit %d, %q", code, rest)
	}
	if took := time.Since(start); took < closeGrace/2 || took > 2*closeGrace {
		t.Errorf("it took %v", took)
	}
}
