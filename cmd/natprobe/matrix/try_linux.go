package matrix

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/rtmfp/udp"
)

// readyPatience is how long a peer may take to connect to the node, amid loss.
const readyPatience = 30 * time.Second

// app makes the URI, and so a client's IHello, as long as real ones are: a node
// rations the answers to short ones by prefix, and the sites share theirs.
const app = "natprobe/lab/matrix"

// program is a running peer.
type program struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string // closed at its end
	id     string
	echoes bool // it tells when an answer has come over its session
}

// errPeer is a peer program that does not do as the contract says.
var errPeer = errors.New("the peer program")

func startPeer(ctx context.Context, h *kernel.Host, command string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, "sh", "-c", command), lines: make(chan string, 64)}
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=rtmfp://%v/%s", ServerVariable, lab.FirstNodeAddress, app))
	// A group of its own: sh may have children.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = p.kill
	p.cmd.WaitDelay = time.Second
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.Start(p.cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case p.lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return p, nil
}

func (p *program) kill() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// stop ends the program: its input first, then by force.
func (p *program) stop() {
	_ = p.in.Close() // it may have ended already
	timer := time.AfterFunc(500*time.Millisecond, func() { _ = p.kill() })
	defer timer.Stop()
	for range p.lines {
	}
	_ = p.cmd.Wait() // how it ends does not matter
}

// await is the rest of the first line that begins with one of words, and the
// word.
func (p *program) await(patience time.Duration, words ...string) (word, rest string, err error) {
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", "", fmt.Errorf("%w ended without %s", errPeer, words[0])
			}
			word, rest, _ := strings.Cut(line, " ")
			for _, w := range words {
				if w == word {
					return word, rest, nil
				}
			}
		case <-timeout:
			return "", "", fmt.Errorf("no %s in %v", words[0], patience)
		}
	}
}

func (p *program) ready() error {
	_, id, err := p.await(readyPatience, "PEERID")
	if err != nil {
		return err
	}
	p.id = strings.ToLower(strings.TrimSpace(id))
	_, rest, err := p.await(readyPatience, "READY")
	p.echoes = strings.TrimSpace(rest) == "echo"
	return err
}

// try does a job, with peers of its own.
func (r *run) try(ctx context.Context, j *job) Try {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var peers [2]*program // initiator, target
	for _, i := range []int{1, 0} {
		p, err := startPeer(ctx, r.host([]endpoint{j.from, j.to}[i]), []string{r.Peer, cmp.Or(r.Called, r.Peer)}[i])
		if err != nil {
			return Try{Reason: err.Error()}
		}
		defer p.stop()
		peers[i] = p
		if i == 1 && r.Age > 0 {
			if err := p.ready(); err != nil {
				return Try{Reason: "target: " + err.Error()}
			}
			wait(ctx, r.Age)
		}
	}
	for i, p := range peers {
		if p.id != "" {
			continue // it has been
		}
		if err := p.ready(); err != nil {
			return Try{Reason: []string{"initiator: ", "target: "}[i] + err.Error()}
		}
	}
	var t Try
	if r.Age == 0 {
		t.Classes = r.node.classes(ctx, r.Settle, peers[0].id, peers[1].id)
	}
	r.call(ctx, j, peers, &t)
	t.Strategy = r.node.strategy(peers[0].id, peers[1].id)
	return t
}

// call has one of two peers call the other, or both, and waits for what comes of it.
func (r *run) call(ctx context.Context, j *job, peers [2]*program, t *Try) {
	calls := 1
	if r.Cross {
		calls = 2
	}
	for i := range calls {
		if i > 0 {
			wait(ctx, time.Duration(rand.Int64N(int64(crossWithin))))
		}
		if _, err := fmt.Fprintf(peers[i].in, "CONNECT %s\n", peers[1-i].id); err != nil {
			t.Reason = err.Error()
			return
		}
	}
	patience := r.Patience
	if r.Stall[1] > 0 {
		// Not both at once: who is fast enough meets who sleeps.
		p, length := peers[j.number%2], r.Stall[0]+time.Duration(rand.Int64N(int64(r.Stall[1]-r.Stall[0]+1)))
		t.Stalled = []string{"initiator", "target"}[j.number%2]
		patience += length
		wait(ctx, time.Duration(rand.Int64N(int64(6*4*r.Delay)+1)))
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGSTOP) // one that has ended shows below
		wait(ctx, length)
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT)
	}
	for i := range calls {
		word, rest, err := peers[i].await(patience, "CONNECTED", "FAIL")
		switch {
		case err != nil:
		case word == "FAIL":
			err = errors.New(strings.TrimPrefix(rest, "reason="))
		case i == 0:
			err = t.connected(rest, r.network.Node().Addrs)
		}
		if err == nil && peers[i].echoes {
			if _, _, err = peers[i].await(patience, "ECHO"); err != nil {
				t.Dead, err = true, errors.New("dead: open, but no answer comes over it")
			}
		}
		if err != nil {
			t.Connected, t.Reason = false, err.Error()
			if i > 0 {
				t.Reason = "target, which called too: " + t.Reason
			}
			return
		}
	}
}

// crossWithin is how far apart two calls are at most that cross.
const crossWithin = 60 * time.Millisecond

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// connected reads far=address:port ms=number.
func (t *Try) connected(line string, node []netip.Addr) error {
	values := make(map[string]string)
	for _, field := range strings.Fields(line) {
		k, v, _ := strings.Cut(field, "=")
		values[k] = v
	}
	far, err := netip.ParseAddrPort(values["far"])
	if err != nil {
		return fmt.Errorf("%w says CONNECTED %s: %w", errPeer, line, err)
	}
	if t.Millis, err = strconv.ParseFloat(values["ms"], 64); err != nil {
		return fmt.Errorf("%w says CONNECTED %s: %w", errPeer, line, err)
	}
	t.Connected, t.Far, t.Path = true, far.String(), pathTo(far.Addr(), node)
	return nil
}

// pathTo judges by where the far end is seen.
func pathTo(far netip.Addr, node []netip.Addr) Path {
	switch {
	case slices.Contains(node, far):
		return Relay
	case udp.IsPrivate(far), far.IsLinkLocalUnicast():
		return Local
	}
	return Direct
}
