package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/cmd/pileus/flv"
	"pileus/cmd/pileus/peer"
)

// transcript is what a command printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has a token after a write
}

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// peering is a peer inside this process.
type peering struct {
	t              *testing.T
	args           []string
	stdout, stderr transcript
	interrupt      context.CancelFunc
	ended          chan int
}

// starting is held while a command line is parsed: the library keeps its flag
// --help in a variable that all share.
var starting sync.Mutex

func startPeer(t *testing.T, args ...string) *peering {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	ctx, interrupt := context.WithCancel(t.Context())
	p := &peering{t: t, args: args, interrupt: interrupt, ended: make(chan int, 1)}
	p.stdout.more, p.stderr.more = make(chan struct{}, 1), make(chan struct{}, 1)
	go func() { p.ended <- run(ctx, append([]string{"peer"}, args...), &p.stdout, &p.stderr) }()
	t.Cleanup(func() {
		interrupt()
		p.ended <- <-p.ended
	})
	select {
	case <-p.stdout.more:
	case <-p.stderr.more:
	case code := <-p.ended:
		p.ended <- code
	}
	return p
}

// patience is far above what anything here takes, the keepalives excepted.
const patience = 30 * time.Second

// find waits until stderr has pattern and gives its first group.
func (p *peering) find(pattern string) string {
	p.t.Helper()
	return p.findIn(&p.stderr, pattern)
}

func (p *peering) findIn(s *transcript, pattern string) string {
	p.t.Helper()
	late := time.After(patience)
	for {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(s.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-s.more:
		case code := <-p.ended:
			p.ended <- code
			if m := regexp.MustCompile(pattern).FindStringSubmatch(s.String()); m != nil {
				return m[len(m)-1]
			}
			p.t.Fatalf("peer %v ended with %d without %s:\n%s%s", p.args, code, pattern, p.stdout.String(), p.stderr.String())
		case <-late:
			p.t.Fatalf("peer %v: no %s in:\n%s%s", p.args, pattern, p.stdout.String(), p.stderr.String())
		}
	}
}

// wait waits for the end, and wants it to be with that code.
func (p *peering) wait(code int) {
	p.t.Helper()
	select {
	case got := <-p.ended:
		p.ended <- got
		if got != code {
			p.t.Errorf("peer %v: exit %d, want %d:\n%s", p.args, got, code, p.stderr.String())
		}
	case <-time.After(patience):
		p.t.Fatalf("peer %v does not end:\n%s", p.args, p.stderr.String())
	}
}

const peerID = `peer ID +([0-9a-f]{64})\n`

// silentNode is a node that logs nothing, and its URI.
func silentNode(t *testing.T, args ...string) (node *running, uri string) {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	quiet := config(t, "log: {level: error}\n")
	n := serving(t, append([]string{"--config", quiet, "--listen", "127.0.0.1:0", "--admin", ""}, args...)...)
	return n, n.find(`try next     .* peer --server (rtmfp://\S+)\n`)
}

// What one peer reads, another writes: through a real node, real sockets, and
// the command line.
func TestFLVInIsFLVOut(t *testing.T) {
	t.Run("pattern", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "in.flv")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		w, pattern := flv.NewWriter(f), peer.NewPattern()
		for range 120 {
			tag, _ := pattern.Next()
			if err := w.Write(tag); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		testFLV(t, file)
	})
	t.Run("ffmpeg", func(t *testing.T) {
		t.Parallel()
		ffmpeg, err := exec.LookPath("ffmpeg")
		if err != nil {
			t.Skip("there is no ffmpeg: NOT TESTED with what it makes (apt-get install ffmpeg)")
		}
		file := filepath.Join(t.TempDir(), "in.flv")
		out, err := exec.CommandContext(t.Context(), ffmpeg, "-loglevel", "error", "-nostdin",
			"-f", "lavfi", "-i", "testsrc2=size=640x480:rate=30", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
			"-t", "3", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-c:a", "aac", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ffmpeg: %v\n%s", err, out)
		}
		testFLV(t, file)
	})
}

func testFLV(t *testing.T, file string) {
	_, uri := silentNode(t)
	publisher := startPeer(t, "--server", uri, "--publish", "film", "--input", file)
	id := publisher.find(peerID)
	publisher.find("publishing")
	player := startPeer(t, "--server", uri, "--play", id+"/film")
	player.wait(exitOK)
	publisher.wait(exitOK)

	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	want, got := tags(t, in), tags(t, strings.NewReader(player.stdout.String()))
	if len(want) < 100 {
		t.Fatalf("only %d tags to compare", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%d tags in, %d out:\n%.2000s", len(want), len(got), diff)
	}
	player.find(`played     .*B in .* s, .*bit/s\n`)
	t.Log(publisher.find(`published  (.*B in .* s, .*bit/s)\n`))
}

func tags(t *testing.T, r io.Reader) []flv.Tag {
	t.Helper()
	var all []flv.Tag
	reader := flv.NewReader(r, 0)
	for {
		tag, err := reader.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("after %d tags: %v", len(all), err)
		}
		tag.Data = slices.Clone(tag.Data)
		all = append(all, tag)
	}
}

func TestPeerSendsText(t *testing.T) {
	_, uri := silentNode(t)
	sender := startPeer(t, "--server", uri, "--send", "hello\x1b[31m there", "--send", "again")
	id := sender.find(peerID)
	sender.find("publishing")
	output := filepath.Join(t.TempDir(), "text.flv")
	player := startPeer(t, "--server", uri, "--play", id+"/text", "--json", "--output", output)
	player.wait(exitOK)
	sender.wait(exitOK)
	var heard []string
	var last map[string]any
	for line := range strings.Lines(player.stdout.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if event["event"] == "message" {
			heard = append(heard, event["text"].(string))
		}
		last = event
	}
	if diff := cmp.Diff([]string{"hello [31m there", "again"}, heard); diff != "" {
		t.Error(diff)
	}
	if last["event"] != "end" || last["ok"] != true {
		t.Errorf("the last event is %v", last)
	}
	if player.stderr.String() != "" {
		t.Errorf("stderr: %s", player.stderr.String())
	}
}

func TestPeerIsRefused(t *testing.T) {
	_, uri := silentNode(t)
	other := strings.Repeat("ab", 32)
	for _, test := range []struct {
		name, stream, accept, says string
	}{
		{"none", "cam", "none", "refuses the stream"},
		{"another", "cam", other, "refuses the stream"},
		{"nobody answers", "cam", "ask", "refuses the stream"},
		{"no such stream", "film", "all", `has no stream "film"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			publisher := startPeer(t, "--server", uri, "--publish", "cam", "--pattern", "--accept", test.accept)
			id := publisher.find(peerID)
			publisher.find("publishing")
			player := startPeer(t, "--server", uri, "--play", id+"/"+test.stream)
			player.wait(exitFailure)
			player.find("pileus: peer .*" + test.says + "\n")
			publisher.interrupt()
			publisher.wait(exitFailure)
			publisher.find(`nobody played "cam"\n`)
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		player := startPeer(t, "--server", uri, "--play", other+"/cam", "--timeout", "600ms")
		player.wait(exitFailure)
		player.find(`not met    No such peer is connected to this node\. A peer has another ID after each connect`)
		player.find("no answer from peer " + other + " in 600 ms: it is not connected to 127")
	})
	t.Run("itself accepted", func(t *testing.T) {
		t.Parallel()
		player := startPeer(t, "--server", uri, "--publish", "cam", "--pattern", "--accept", other, "--accept", "ask")
		player.find("publishing")
	})
}

// A stream that is let run ends politely at both ends.
func TestPeerIsInterrupted(t *testing.T) {
	_, uri := silentNode(t)
	publisher := startPeer(t, "--server", uri, "--publish", "cam", "--pattern", "--progress")
	id := publisher.find(peerID)
	publisher.find("publishing")
	first := startPeer(t, "--server", uri, "--play", id+"/cam", "--output", os.DevNull)
	first.find("playing")
	second := startPeer(t, "--server", uri, "--play", id+"/cam", "--duration", "300ms")
	second.wait(exitOK)
	publisher.find("no more: it left")
	publisher.find(`\d s    out .*bit/s, \d+ tags, .* to 1 peer`)
	publisher.interrupt()
	publisher.wait(exitOK)
	first.wait(exitOK)
}

func TestPeerTellsWhyItEnds(t *testing.T) {
	n, uri := silentNode(t)
	publisher := startPeer(t, "--server", uri, "--publish", "cam", "--pattern")
	id := publisher.find(peerID)
	publisher.find("publishing")
	player := startPeer(t, "--server", uri, "--play", id+"/cam")
	player.find("playing")
	n.end()
	publisher.wait(exitFailure)
	player.wait(exitFailure)
	publisher.find(`pileus: node 127\.0\.0\.1:\d+ closed the connection\n`)
	player.find(`pileus: (node 127\.0\.0\.1:\d+|peer \S+) closed the connection\n`)
}

func TestPeerGetsNoAnswer(t *testing.T) {
	p := startPeer(t, "--server", "rtmfp://127.0.0.1:9/app", "--timeout", "300ms")
	p.wait(exitNoAnswer)
	want := "no answer from 127.0.0.1:9/udp in 300 ms: UDP blocked, wrong host, or node down"
	if !slices.Contains(strings.Split(p.stderr.String(), "\n"), want) {
		t.Errorf("no line %q in:\n%s", want, p.stderr.String())
	}
	p = startPeer(t, "--server", "rtmfp://no.such.host.invalid/app")
	p.wait(exitFailure)
	p.find(`pileus: .*no\.such\.host\.invalid`)
}

func TestPeerRejectsWhatIsNoFLV(t *testing.T) {
	_, uri := silentNode(t)
	for content, says := range map[string]string{
		"":                         "ends before its first tag",
		"RIFF":                     "ends before its first tag",
		strings.Repeat("MP4", 100): "not FLV",
		"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00": "has no tags",
	} {
		file := filepath.Join(t.TempDir(), "in.flv")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		p := startPeer(t, "--server", uri, "--publish", "cam", "--input", file)
		p.wait(exitFailure)
		p.find(says)
	}
}

func TestPeerCommandLines(t *testing.T) {
	id := strings.Repeat("0a", 32)
	for _, test := range []struct {
		args, stderr string
	}{
		{"", "--server is missing"},
		{"--server 127.0.0.1:1935/app", "did you mean rtmfp://127.0.0.1:1935/app?"},
		{"--server http://h/", "is not of the form rtmfp://host[:port]/app"},
		{"--server rtmfp://h:0/", "0 is no port"},
		{"--server rtmfp://h:x/", "is not of the form"},
		{"--server rtmfp://h/ app", `there is "app"`},
		{"--server rtmfp://h/ --pattern", "--pattern is about a stream to publish"},
		{"--server rtmfp://h/ --accept none", "--accept is about a stream to publish"},
		{"--server rtmfp://h/ --output f", "--output is about a stream to play"},
		{"--server rtmfp://h/ --play cam", `"cam" is neither PEERID/STREAM nor NAME/STREAM`},
		{"--server rtmfp://h/ --play alice/", `"alice/" is neither PEERID/STREAM nor NAME/STREAM`},
		{"--server rtmfp://h/ --play /cam", "there is neither"},
		{"--server rtmfp://h/ --play " + id[1:] + "/cam", "is no peer ID: that is 64 hexadecimal digits, not 63"},
		{"--server rtmfp://h/ --publish cam --pattern --accept all --accept bob", "all and a peer contradict"},
		{"--server rtmfp://h/ --name=", "--name needs a name"},
		{"--server rtmfp://h/ --publish cam --pattern --accept all --accept none", "all and none contradict each other"},
		{"--server rtmfp://h/ --publish cam --pattern --accept all --accept " + id, "all and a peer contradict"},
		{"--server rtmfp://h/ --publish cam --pattern --input f", "read or generated, not both"},
		{"--server rtmfp://h/ --publish cam --pattern --max-message 1", "the unit is missing"},
		{"--server rtmfp://h/ --publish cam --pattern --max-message 1KiB", "the longest message must be between"},
		{"--server rtmfp://h/ --send " + strings.Repeat("x", 65536), "a text of 65536 bytes exceeds the limit of"},
		{"--server rtmfp://h/ --json --play " + id + "/cam", "--output FILE"},
		{"--server rtmfp://h/ --timeout 0s", "--timeout needs a time above 0"},
		{"--server rtmfp://h/ --retry soon", "retry"},
	} {
		code, stdout, stderr := command(t, append([]string{"peer"}, strings.Fields(test.args)...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, test.stderr) {
			t.Errorf("peer %.100s: exit %d, stdout %q, stderr %q, want %q", test.args, code, stdout, stderr, test.stderr)
		}
	}
}
