package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pileus/configs"
	"pileus/rtmfp/amf"
)

// Every key that may change while a node runs does so, one after the other, as
// the node says itself; with what is seen of it from outside.
func TestEveryReloadableKeyReloads(t *testing.T) {
	file := config(t, "")
	hooks := "hooks: {url: 'http://127.0.0.1:9', secret: " + testSecret + ", when_down: deny, timeout: 100ms"
	var n *running
	var uri, at string
	token := testSecret
	api := func(method, path string) string {
		_, body := order(t, at, method, path, token, "")
		return body
	}
	taken := func(path string, args ...amf.Value) func() bool {
		return func() bool { return connects(t, uri+path, args...).connected() }
	}
	sharedLimit := func(what string, n int) func() bool {
		return func() bool {
			_, metrics := fetch(t, at+"/metrics", token)
			return strings.Contains(metrics, fmt.Sprintf("pileus_shared{is=\"limit\",what=%q} %d\n", what, n))
		}
	}
	// The text is what the file says beside what it said before, but for its key's own.
	steps := []struct {
		key, text string
		seen      func() bool // nil: tests of the room that has it
	}{
		{"log.level", "log: {level: warn}", func() bool { return strings.Contains(api("GET", "/log-level"), "warn") }},
		{"log.format", "log: {level: warn, format: json}", nil},
		{"log.addresses", "log: {level: warn, format: json, addresses: none}", nil},
		{"presence.name_arg", "presence: {name_arg: 1}", func() bool {
			return taken("/app", amf.String("ann"))() && strings.Contains(api("GET", "/names"), `"ann"`)
		}},
		{"limits.node", "limits: {node: 3mbit}", func() bool { return strings.Contains(api("GET", "/status"), `"limit_bits_per_second":3000000`) }},
		{"limits.splice", "limits: {node: 3mbit, splice: 1mbit}", nil},
		{"limits.peer", "limits: {node: 3mbit, peer: 1mbit}", nil},
		{"limits.tenant", "limits: {node: 3mbit, tenant: 1mbit}", nil},
		{"limits.splices.peer", "limits: {node: 3mbit, splices: {peer: 3}}", nil},
		{"limits.splices.prefix", "limits: {node: 3mbit, splices: {prefix: 3}}", nil},
		{"limits.splices.total", "limits: {node: 3mbit, splices: {total: 3}}", nil},
		{"limits.allocations.peer", "limits: {node: 3mbit, allocations: {peer: 3}}", nil},
		{"limits.allocations.prefix", "limits: {node: 3mbit, allocations: {prefix: 3}}", nil},
		{"limits.allocations.total", "limits: {node: 3mbit, allocations: {total: 3}}", nil},
		{"limits.bytes_per_day.peer", "limits: {node: 3mbit, bytes_per_day: {peer: 1GiB}}", nil},
		{"limits.bytes_per_day.tenant", "limits: {node: 3mbit, bytes_per_day: {tenant: 1GiB}}", nil},
		{"limits.pending_introductions", "limits: {node: 3mbit, pending_introductions: 3}", nil},
		{"limits.handshakes_per_prefix", "limits: {node: 3mbit, handshakes_per_prefix: 7/s}", taken("/app")},
		{"limits.answers_per_prefix", "limits: {node: 3mbit, answers_per_prefix: 1/s}", func() bool {
			return bindings(t, strings.TrimPrefix(uri, "rtmfp://"), 20) < 20
		}},
		{"limits.memory", "limits: {node: 3mbit, memory: 64MiB}", func() bool {
			_, metrics := fetch(t, at+"/metrics", token)
			return strings.Contains(metrics, `pileus_memory_bytes{what="limit"} 6.7108864e+07`)
		}},
		{"limits.sessions", "limits: {node: 3mbit, sessions: 1000}", taken("/app")},
		{"limits.share.peer", "limits: {node: 3mbit, share: {peer: 2%}}", nil},
		{"limits.share.target", "limits: {node: 3mbit, share: {target: 7%}}", nil},
		{"limits.introductions", "limits: {node: 3mbit, introductions: 7}", sharedLimit("introductions", 7)},
		{"limits.introductions_per_target", "limits: {node: 3mbit, introductions_per_target: 7/s}", nil},
		{"limits.strangers", "limits: {node: 3mbit, strangers: 7/s}", nil},
		{"limits.names", "limits: {node: 3mbit, names: 7}", nil},
		{"limits.watches", "limits: {node: 3mbit, watches: 7}", nil},
		{"limits.follows", "limits: {node: 3mbit, follows: 7}", sharedLimit("follows", 7)},
		{"limits.memberships", "limits: {node: 3mbit, memberships: 7}", sharedLimit("memberships", 7)},
		{"limits.questions", "limits: {node: 3mbit, questions: 7}", sharedLimit("questions", 7)},
		{"limits.broadcasts", "limits: {node: 3mbit, broadcasts: 7}", sharedLimit("broadcasts", 7)},
		{"limits.message", "limits: {node: 3mbit, message: 7KiB}", nil},
		{"limits.messages.sender", "limits: {node: 3mbit, messages: {sender: 7mbit}}", nil},
		{"limits.messages.receiver", "limits: {node: 3mbit, messages: {receiver: 7mbit}}", nil},
		{"limits.messages.node", "limits: {node: 3mbit, messages: {node: 7mbit}}", nil},
		{"limits.share.prefix", "limits: {node: 3mbit, share: {prefix: 7%}}", nil},
		{"limits.share.wide", "limits: {node: 3mbit, share: {prefix: 7%, wide: 70%}}", nil},
		{"probe.rate", "probe: {ports: off, rate: 7/s}", nil},
		{"introduce.anonymous", "introduce: {anonymous: true}", nil},
		{"turn.users", "turn: {users: {alice: wonderland}}", nil},
		{"turn.secrets", "turn: {users: {alice: wonderland}, secrets: [0123456789abcdef]}", nil},
		{"turn.alternates", "turn: {users: {alice: wonderland}, secrets: [0123456789abcdef], alternates: [192.0.2.9]}", nil},
		{"tenants", "tenants: {acme: {keys: [k], closed: true}}", func() bool { return !taken("/k/app")() && taken("/app")() }},
		{"admin.hosts", "admin: {listen: '127.0.0.1:0', token: " + testSecret + ", hosts: [node.example]}", nil},
		{"admin.token", "admin: {listen: '127.0.0.1:0', token: another-" + testSecret + ", hosts: [node.example]}", func() bool {
			before := api("GET", "/status")
			token = "another-" + testSecret
			return strings.Contains(before, "needs a token") && strings.Contains(api("GET", "/status"), "fingerprint")
		}},
		{"hooks.url", hooks + "}", func() bool { return !taken("/app")() }},
		{"hooks.when_down", strings.Replace(hooks, "deny", "allow", 1) + "}", taken("/app")},
		{"hooks.secret", strings.Replace(hooks, testSecret, "x"+testSecret, 1) + "}", nil},
		{"hooks.ask", hooks + ", ask: [introduce]}", taken("/app")},
		{"hooks.tell", hooks + ", tell: [connect]}", nil},
		{"hooks.timeout", strings.Replace(hooks, "100ms", "200ms", 1) + "}", nil},
		{"hooks.verdict", hooks + ", verdict: 7s}", nil},
		{"hooks.queue", hooks + ", queue: 7}", nil},
	}
	sections := map[string]string{
		"listen": "listen: ['127.0.0.1:0']", "probe": "probe: {ports: off}", "relay": "relay: {extra: []}", "stun": "stun: {ports: []}",
		"admin": "admin: {listen: '127.0.0.1:0', token: " + testSecret + "}", "log": "log: {level: error}",
	}
	write := func() {
		t.Helper()
		var lines []string
		for _, s := range sections {
			lines = append(lines, s)
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	n = serving(t, "--config", file)
	uri, at = "rtmfp://"+n.find(`listening    (127\.0\.0\.1:\d+)/udp`), n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	first := connects(t, uri+"/app")

	tested := map[string]bool{"cores.keys": true} // of a node in front of cores only
	for _, s := range steps {
		tested[s.key] = true
		section, _, _ := strings.Cut(s.key, ".")
		sections[section] = s.text
		write()
		with := token
		status, body := order(t, at, "POST", "/reload", with, "")
		var done struct{ Changed, Restart []string }
		if err := json.Unmarshal([]byte(body), &done); err != nil || status != 200 || !strings.Contains(" "+strings.Join(done.Changed, " ")+" ", " "+s.key+" ") || len(done.Restart) > 0 {
			t.Errorf("%s: %d %s", s.key, status, body)
		}
		if s.seen != nil && !s.seen() {
			t.Errorf("%s: nothing is seen of it", s.key)
		}
	}
	for _, key := range configs.Keys() {
		if configs.Reloadable(key) && !tested[key] {
			t.Errorf("%s may change while a node runs, and no step here changes it", key)
		}
	}
	if !first.connected() {
		t.Error("a session was lost")
	}
}

// A key that waits for a restart is told of, by the answer and in the log, as long
// as it waits; and a change of the log's format is seen in the next line.
func TestReloadTellsWhatWaits(t *testing.T) {
	base := "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nadmin: {listen: '127.0.0.1:0'}\n"
	file := config(t, base)
	n := serving(t, "--config", file)
	at := n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	if err := os.WriteFile(file, []byte(base+"max_message: 1MiB\nhostname: node.example\nlog: {format: json}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() { // serve waits for who reads its log
		for n.lines.Scan() {
			lines <- n.lines.Text()
		}
		close(lines)
	}()
	defer func() {
		n.stop()
		for range lines { // they are the goroutine's until it ends
		}
	}()
	for range 2 {
		code, stdout, stderr := command(t, "reload", "--node", at)
		if code != exitOK || !strings.Contains(stdout, "waiting for a restart of the node: ") || !strings.Contains(stdout, "max_message") || !strings.Contains(stdout, "hostname") {
			t.Errorf("%d %s%s", code, stdout, stderr)
		}
	}
	for patience := time.After(10 * time.Second); ; {
		select {
		case line := <-lines:
			if strings.HasPrefix(line, "{") && strings.Contains(line, "wait for a restart") && strings.Contains(line, `"max_message"`) {
				return
			}
		case <-patience:
			t.Fatal("the log does not tell")
		}
	}
}

// A certificate that was renewed by moving links, its files as old as those before, is in use after a reload, at TURN
// and at the admin listener; one that cannot be read is told of, and the old one stays.
func TestReloadRenewsCertificates(t *testing.T) {
	root := t.TempDir()
	written := time.Now().Add(-time.Hour)
	for _, name := range []string{"one", "two"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		cert, key := selfSigned(t)
		for from, to := range map[string]string{cert: "cert.pem", key: "key.pem"} {
			text, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			to = filepath.Join(dir, to)
			if err := os.WriteFile(to, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(to, time.Time{}, written); err != nil {
				t.Fatal(err)
			}
		}
	}
	live := filepath.Join(root, "live")
	lead := func(name string) {
		t.Helper()
		_ = os.Remove(live)
		if err := os.Symlink(filepath.Join(root, name), live); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	lead("one")
	files := "{cert: " + live + "/cert.pem, key: " + live + "/key.pem"
	p := free(t, 1)
	n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {ports: off, extra: []}\nstun: {ports: []}\n"+
		"admin: {listen: '127.0.0.1:0', tls: "+files+"}}\nturn: {listen: [], tls: "+files+", listen: ["+p[0]+"]}}\n"))
	admin := strings.TrimPrefix(n.find(`admin        (https://127\.0\.0\.1:\d+)/`), "https://")
	shown := func(at string) string {
		t.Helper()
		c, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, name := range []string{"one", "two"} {
			text, err := os.ReadFile(filepath.Join(root, name, "cert.pem"))
			if err != nil {
				t.Fatal(err)
			}
			if block, _ := pem.Decode(text); bytes.Equal(block.Bytes, c.ConnectionState().PeerCertificates[0].Raw) {
				return name
			}
		}
		return "another"
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	reload := func() string {
		t.Helper()
		r, err := client.Post("https://"+admin+"/api/v1/reload", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 200 {
			t.Errorf("%d %s: %v", r.StatusCode, text, err)
		}
		return string(text)
	}
	both := func(want string) {
		t.Helper()
		for _, at := range []string{admin, "127.0.0.1:" + p[0]} {
			if got := shown(at); got != want {
				t.Errorf("%s shows %s, want %s", at, got, want)
			}
		}
	}
	both("one")
	lead("two")
	if got := reload(); strings.Contains(got, "stays in use") {
		t.Error(got)
	}
	both("two")
	lead("none")
	for range 2 {
		if got := reload(); !strings.Contains(got, "turn.tls: open ") || !strings.Contains(got, "admin.tls: open ") || !strings.Contains(got, "the certificate before stays in use") {
			t.Error(got)
		}
		both("two")
	}
	n.end()
	if got := strings.Count(n.banner, `msg="a certificate cannot be read again; the one before stays in use"`); got != 2 {
		t.Errorf("%d lines in the log, want one for each:\n%s", got, n.banner)
	}
}
