package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// In a process of its own the test binary is the program: signals need one.
const asProgram = "PILEUS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// command runs a command line and gives what it printed.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// config writes a configuration and gives its name.
func config(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCommandLines(t *testing.T) {
	for _, test := range []struct {
		args   string
		code   int
		stdout string // a part of it; "" is nothing at all
		stderr string
	}{
		{"", exitUsage, "", "Start here"},
		{"--help", exitOK, "Exit codes:", ""},
		{"help", exitOK, "Exit codes:", ""},
		{"help check", exitOK, "Examples:", ""},
		{"check --help", exitOK, "--public BIND=NAME", ""},
		{"help bench node", exitOK, "--server HOST:PORT", ""},
		{"bench nod", exitUsage, "", `there is no command "nod"; there are node`},
		{"help nothing", exitUsage, "", "nothing"},
		{"srve", exitUsage, "", `pileus: there is no command "srve"; there are serve, peer, check,`},
		{"--lissten x", exitUsage, "", "there is no flag --lissten; see "},
		{"check --lissten :1936", exitUsage, "", "check --help"},
		{"check FILE --listen :1936", exitUsage, "", "flags go before the name of the file"},
		{"check --listen", exitUsage, "", "flag needs an argument"},
		{"version", exitOK, "pileus ", ""},
		{"version now", exitUsage, "", `version takes no argument, and there is "now"`},
	} {
		code, stdout, stderr := command(t, strings.Fields(test.args)...)
		if code != test.code {
			t.Errorf("pileus %s: exit %d, want %d", test.args, code, test.code)
		}
		if !strings.Contains(stdout, test.stdout) || test.stdout == "" && stdout != "" {
			t.Errorf("pileus %s: stdout %q, want %q", test.args, stdout, test.stdout)
		}
		if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
			t.Errorf("pileus %s: stderr %q, want %q", test.args, stderr, test.stderr)
		}
	}
}

func TestCheck(t *testing.T) {
	manual := filepath.Join("..", "..", "configs", "pileus.yaml")
	mistake := config(t, "hmac: offer\nlisten_on: [1935]\n")
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"defaults", nil, exitOK, ""},
		{"manual", []string{manual}, exitOK, ""},
		{"manual by flag", []string{"--config", manual}, exitOK, ""},
		{"two files", []string{"--config", manual, manual}, exitUsage, "2 configurations are named"},
		{"no file", []string{"none.yaml"}, exitFailure, "none.yaml: no such file or directory; configs/pileus.yaml is one to start from"},
		{"mistake", []string{mistake}, exitFailure, "node.yaml:2: listen_on: there is no such key; did you mean listen?"},
		{"flags", []string{"--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--admin", "", "--log-format", "json"}, exitOK, ""},
		{"alternate", []string{"--alternate", "192.0.2.1"}, exitOK, ""},
		{"probe ports", []string{"--probe-ports", "2000-2007"}, exitOK, ""},
		{"no probe ports", []string{"--probe-ports", ""}, exitOK, ""},
		{"bad probe ports", []string{"--probe-ports", "9-8"}, exitUsage, `--probe-ports: "9-8" is not a range of ports`},
		{"public", []string{"--public", "10.0.0.5=198.51.100.7"}, exitOK, ""},
		{"bad listen", []string{"--listen", "localhost:1"}, exitUsage, `--listen: "localhost:1" is not an address to listen on`},
		{"bad alternate", []string{"--alternate", "x"}, exitUsage, `--alternate: "x" is not an IP address`},
		{"bad public", []string{"--public", "10.0.0.5"}, exitUsage, `"10.0.0.5" is not BIND=NAME`},
		{"bad public bind", []string{"--public", "a=10.0.0.5"}, exitUsage, `--public: "a" is not an IP address`},
		{"bad public name", []string{"--public", "10.0.0.5=a"}, exitUsage, `--public: "a" is not an IP address`},
		{"public twice", []string{"--public", "10.0.0.5=192.0.2.1", "--public", "10.0.0.5=192.0.2.2"}, exitUsage, "10.0.0.5 is given two names"},
		{"bad admin", []string{"--admin", "here"}, exitUsage, `--admin: "here" is not an address`},
		{"bad format", []string{"--log-format", "jsno"}, exitUsage, `did you mean json?`},
		{"together", []string{"--public", "10.0.0.5=2001:db8::1"}, exitFailure, "--public: 10.0.0.5 and 2001:db8::1 are not of one family"},
		{"open admin", []string{"--admin", "0.0.0.0:8935"}, exitFailure, "0.0.0.0:8935 can be reached from other machines; set admin.token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"check"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if (stdout == "ok\n") != (code == exitOK) {
				t.Errorf("stdout %q", stdout)
			}
			if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("stderr %q, want %q", stderr, test.stderr)
			}
		})
	}
}

// Whatever kind of mistake there is, it is told with all the others, once, in the order of the lines; none makes another
// be told that is none.
func TestAllKindsOfMistakesAtOnce(t *testing.T) {
	file := config(t, `hmac: requir
colour: red
max_message: 10B
max_message: 1KiB
listen: [localhost:1935, 1935]
alternate: [x]
tenants: {a: {peers: many, keys: [k]}, b: {keys: []}}
probe: {ports: 3470-3480}
stun: {ports: [3478, 9]}
relay: {ports: 20-10, idle: 1s}
turn: {users: {ann: ""}, secrets: [short], tls: {cert: /none, key: /none}}
admin: {listen: "0.0.0.0:8935", token: 0123456789abcdef, tls: {cert: /none}}
hooks: {url: nonsense}
public: {10.0.0.1: "2001:db8::1", y: z}
`)
	want := []string{
		":1: hmac: ", ":2: colour: there is no such key", ":3: max_message: 10B is not between", ":4: max_message: is there twice",
		":5: listen: ", ":6: alternate: ", ":7: tenants.a.peers: ", ":7: tenants: b has no keys", ":9: stun.ports: port 3478 belongs to probe.ports too",
		":10: relay.idle: ", ":10: relay.ports: ", `:11: turn.users: the password of "ann" is empty`, ":11: turn.secrets: ", ":11: turn.tls: open /none",
		":12: admin.tls: cert and key go together", ":13: hooks.secret: has 0 bytes", ":13: hooks.url: ",
		":14: public: ", ":14: public: ", "--admin: ", "--log-format: ",
	}
	code, stdout, stderr := command(t, "check", "--log-format", "jsno", "--admin", "nowhere", file)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit %d, %q", code, stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := 0
	for _, line := range lines {
		i := slices.IndexFunc(want, func(w string) bool { return strings.Contains(line, w) })
		if i < 0 {
			t.Errorf("not wanted, or twice: %s", line)
			continue
		}
		want = slices.Delete(want, i, i+1)
		if _, rest, ok := strings.Cut(line, "node.yaml:"); ok {
			number, _, _ := strings.Cut(rest, ":")
			n, err := strconv.Atoi(number)
			if err != nil || n < last {
				t.Errorf("out of order: %s", line)
			}
			last = n
		}
	}
	if len(want) > 0 {
		t.Errorf("not told: %q in\n%s", want, stderr)
	}
}

// What is allowed and hardly meant is told, by check and serve alike.
func TestWarnings(t *testing.T) {
	file := config(t, "turn: {users: {ann: short}}\nlisten: ['127.0.0.1:0']\nadmin: {listen: off}\nprobe: {ports: off}\nrelay: {ports: off}\nstun: {ports: []}\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, "check", file)
	for _, want := range []string{`node.yaml:1: turn.users: the password of "ann" has 5 bytes`, "node.yaml: everybody on this machine can read it, and there are secrets in it; chmod o= "} {
		if code != exitOK || stdout != "ok\n" || !strings.Contains(stderr, want) {
			t.Errorf("check: exit %d, %q, want %q", code, stderr, want)
		}
		n := serving(t, "--config", file)
		if n.end(); !strings.Contains(n.banner, want) {
			t.Errorf("serve:\n%s\nwant %q", n.banner, want)
		}
	}
}

// A wrong flag must not hide mistakes in others.
func TestAllWrongFlagsAtOnce(t *testing.T) {
	_, _, stderr := command(t, "check", "--listen", "a", "--admin", "b")
	if n := strings.Count(stderr, "\n"); n != 2 {
		t.Errorf("two mistakes, %d lines:\n%s", n, stderr)
	}
}
