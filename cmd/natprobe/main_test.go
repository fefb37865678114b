package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asProgram has the test program be natprobe, elsewhere than here.
const asProgram = "NATPROBE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// said is what a program wrote, and can be waited for.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// screen is a terminal: what is done is told there.
type screen struct{ said }

func (*screen) IsTerminal() bool { return true }

// after waits for a word, and returns the next one.
func (s *said) after(t *testing.T, words string) string {
	t.Helper()
	for began := time.Now(); time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		if _, rest, ok := strings.Cut(s.String(), words); ok {
			if fields := strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" ,\n", r) }); len(fields) > 0 {
				return fields[0]
			}
		}
	}
	t.Fatalf("it never said %q but %s", words, s)
	return ""
}

// pileus builds a node, once for all tests.
var pileus = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "natprobe-test")
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", filepath.Join(dir, "pileus"), "pileus/cmd/pileus").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(dir, "pileus"), err
})

// startNode has a node serve until the test ends. start may start it elsewhere.
func startNode(t *testing.T, config string, start func(*exec.Cmd) error) {
	t.Helper()
	program, err := pileus()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pileus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log said
	node := exec.CommandContext(context.Background(), program, "serve", "--config", file)
	node.Stderr, node.Stdout = &log, &log
	if err := start(node); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait() // it was killed
		if t.Failed() {
			t.Logf("the node:\n%s", &log)
		}
	})
	log.after(t, "try next")
}

// freePorts finds so many in a row on loopback.
func freePorts(t *testing.T, n int) uint16 {
	t.Helper()
tries:
	for range 100 {
		var all []net.PacketConn
		first := uint16(0)
		for i := range n {
			c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", max(0, int(first)+i*min(1, int(first)))))
			if err != nil {
				for _, c := range all {
					c.Close()
				}
				continue tries
			}
			if i == 0 {
				first = c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			}
			all = append(all, c)
		}
		for _, c := range all {
			c.Close()
		}
		return first
	}
	t.Fatal("there are no free ports")
	return 0
}

// startHere has a node serve on loopback, with a relay.
func startHere(t *testing.T) netip.AddrPort {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIP: it takes a node")
	}
	port := freePorts(t, 9)
	startNode(t, fmt.Sprintf(`listen: ["127.0.0.1:%d"]
probe: {ports: %d-%d}
relay: {ports: %d-%d, extra: [], allow_private: true}
stun: {ports: []}
turn: {listen: [], tls: {listen: []}}
admin: {listen: ""}
`, port, port+1, port+4, port+5, port+8), (*exec.Cmd).Start)
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
}

// conforms holds JSON against a schema of this repository.
func conforms(t *testing.T, file, text string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	value.(map[string]any)["surprise"] = true
	if schema.Validate(value) == nil {
		t.Errorf("%s lets everything through", file)
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}
