package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The programs of an independent implementation against ours. CONTRIBUTING.md
// says how to have them.
func referenceDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("PILEUS_REFERENCE_DIR")
	if dir == "" {
		t.Skip("PILEUS_REFERENCE_DIR is not set: NOT TESTED LIVE against the reference programs")
	}
	return dir
}

const liveTimeout = 10 * time.Second

// A live program prints to a transcript.
type live struct {
	transcript
	process *os.Process // nil: it runs in this one
}

func newLive() *live {
	return &live{transcript: transcript{more: make(chan struct{}, 1)}}
}

// await returns the last group of the first match of pattern, or fails.
func (o *live) await(t *testing.T, pattern string) string {
	t.Helper()
	match := o.wait(pattern, liveTimeout)
	if match == nil {
		t.Fatalf("%q was not printed in %v:\n%s", pattern, liveTimeout, o.tail())
	}
	return match[len(match)-1]
}

// wait returns the first match of pattern and its groups, or nil after d.
func (o *live) wait(pattern string, d time.Duration) []string {
	re := regexp.MustCompile(pattern)
	timeout := time.After(d)
	for {
		if match := re.FindStringSubmatch(o.String()); match != nil {
			return match
		}
		select {
		case <-o.more:
		case <-timeout:
			return nil
		}
	}
}

// tail is the last 20 lines.
func (o *live) tail() string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// reference runs a reference program until the test ends, and then logs its
// last lines.
func reference(t *testing.T, name string, args ...string) *live {
	t.Helper()
	out := newLive()
	// They print in blocks when nobody watches.
	argv := append([]string{"-oL", filepath.Join(referenceDir(t), name)}, args...)
	cmd := exec.Command("stdbuf", argv...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		kill := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		t.Logf("%s %s\n%s", name, strings.Join(args, " "), out.tail())
	})
	return out
}

// liveNode runs a node on a free port until the test ends, and returns its
// address.
func liveNode(t *testing.T, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out := newLive()
	code := make(chan int, 1)
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin", ""}, args...)
	go func() { code <- run(ctx, args, io.Discard, out) }()
	t.Cleanup(func() {
		stop()
		if c := <-code; c != exitOK {
			t.Errorf("serve: exit %d", c)
		}
		t.Logf("pileus %s\n%s", strings.Join(args, " "), out.tail())
	})
	return out.await(t, `listening +(127\.0\.0\.1:\d+)/udp`)
}

// security is how the reference programs are told to ask for HMACs and session
// sequence numbers, as they do on their own, or not.
var security = map[string][]string{"stock": nil, "without": {"-H", "-S"}}

func TestLiveConnect(t *testing.T) {
	referenceDir(t)
	flv := filepath.Join(t.TempDir(), "live.flv")
	if err := os.WriteFile(flv, someFLV(50), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, flags := range security {
		t.Run("tcconn "+name, func(t *testing.T) {
			url := fmt.Sprintf("rtmfp://%s/app", liveNode(t))
			c := reference(t, "tcconn", append(flags[:len(flags):len(flags)], "-v", url)...)
			c.await(t, `NetConnection\.Connect\.Success`)
		})
		t.Run("tcpublish "+name, func(t *testing.T) {
			url := fmt.Sprintf("rtmfp://%s/app#live", liveNode(t))
			c := reference(t, "tcpublish", append(flags[:len(flags):len(flags)], "-v", url, flv)...)
			c.await(t, `NetConnection\.Connect\.Success`)
		})
	}
}

// hmac: require is met by clients that can, whether they ask for it or not.
func TestLiveRequire(t *testing.T) {
	referenceDir(t)
	url := fmt.Sprintf("rtmfp://%s/app", liveNode(t, "--config", config(t, "hmac: require\n")))
	for name, flags := range security {
		t.Run(name, func(t *testing.T) {
			c := reference(t, "tcconn", append(flags[:len(flags):len(flags)], "-v", url)...)
			c.await(t, `NetConnection\.Connect\.Success`)
		})
	}
}

func TestLiveIntroduction(t *testing.T) {
	referenceDir(t)
	for name, flags := range security {
		t.Run(name, func(t *testing.T) {
			addr := liveNode(t, "--config", config(t, "introduce: {anonymous: true}\n"))
			target, seeker := introduce(t, addr, flags)
			if got := seeker.await(t, `became writable!\s+addr: \S+\s+fingerprint: ([0-9a-f]{64})`); got != target {
				t.Errorf("the far end is %s, want %s", got, target)
			}
		})
	}
	// Who holds no session is a stranger.
	t.Run("stranger", func(t *testing.T) {
		_, seeker := introduce(t, liveNode(t), nil)
		if seeker.wait(`became writable!`, 3*time.Second) != nil {
			t.Error("a stranger was introduced")
		}
	})
}

// introduce connects a client and has another look for it that holds no
// session.
func introduce(t *testing.T, addr string, flags []string) (target string, seeker *live) {
	t.Helper()
	c := reference(t, "tcconn", append(flags[:len(flags):len(flags)], "-v", fmt.Sprintf("rtmfp://%s/app", addr))...)
	target = c.await(t, `my fingerprint: ([0-9a-f]{64})`)
	c.await(t, `NetConnection\.Connect\.Success`)
	host, port, _ := strings.Cut(addr, ":")
	return target, reference(t, "fcclient", append(flags[:len(flags):len(flags)], "-4", "-f", target, host, port)...)
}

func TestLivePeer(t *testing.T) {
	referenceDir(t)
	for name, flags := range security {
		t.Run(name, func(t *testing.T) {
			addr := tcserver(t, flags)
			code, stdout, stderr := command(t, "peer", "--server", fmt.Sprintf("rtmfp://%s/app", addr), "--duration", "200ms")
			if code != exitOK || !strings.Contains(stderr, "connected  to "+addr) {
				t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
			}
			t.Logf("pileus peer\n%s", stderr)
		})
		// Another's server introduces two of our peers to each other.
		t.Run("two "+name, func(t *testing.T) {
			url := fmt.Sprintf("rtmfp://%s/app", tcserver(t, flags))
			sender := startPeer(t, "--server", url, "--send", "hello")
			id := sender.find(`peer ID +([0-9a-f]{64})`)
			sender.find(`connected`)
			code, stdout, stderr := command(t, "peer", "--server", url, "--play", id+"/text", "--json", "--output", os.DevNull)
			if code != exitOK || !strings.Contains(stdout, `"text":"hello"`) {
				t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
			}
			t.Logf("pileus peer --play\n%s", stdout)
			sender.wait(exitOK)
		})
	}
	// Another's client opens a session with our peer.
	t.Run("fcclient", func(t *testing.T) {
		addr := liveNode(t, "--config", config(t, "introduce: {anonymous: true}\n"))
		p := startPeer(t, "--server", fmt.Sprintf("rtmfp://%s/app", addr), "--publish", "x", "--pattern")
		id := p.find(`peer ID +([0-9a-f]{64})`)
		p.find(`connected`)
		host, port, _ := strings.Cut(addr, ":")
		seeker := reference(t, "fcclient", "-4", "-f", id, host, port)
		if got := seeker.await(t, `became writable!\s+addr: \S+\s+fingerprint: ([0-9a-f]{64})`); got != id {
			t.Errorf("the far end is %s, want %s", got, id)
		}
	})
}

// tcserver runs the reference server on a free port.
func tcserver(t *testing.T, flags []string) string {
	t.Helper()
	addr := "127.0.0.1:" + free(t, 1)[0]
	reference(t, "tcserver", append(flags[:len(flags):len(flags)], "-B", addr)...).await(t, `"@type":"run"`)
	return addr
}

// someFLV is a file with two seconds of tags that nobody decodes.
func someFLV(frames int) []byte {
	b := []byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
	for ts := range frames {
		ms := ts * 40
		data := append([]byte{0x12}, make([]byte, 300)...)
		b = append(b, 9, 0, byte(len(data)>>8), byte(len(data)), byte(ms>>16), byte(ms>>8), byte(ms), 0, 0, 0, 0)
		b = append(b, data...)
		size := 11 + len(data)
		b = append(b, 0, 0, byte(size>>8), byte(size))
	}
	return b
}
