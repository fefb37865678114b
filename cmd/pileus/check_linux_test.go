package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

// check and serve go by the same rules: what one refuses the other does, whichever key was written and whichever is a
// default; with --probe, also where it is the machine that has something against it.
func TestCheckAndServeAgree(t *testing.T) {
	m := newMachine(t)
	m.card("198.51.100.1/24")
	var taken net.PacketConn
	m.within(func() {
		var err error
		if taken, err = net.ListenPacket("udp4", "198.51.100.1:80"); err != nil {
			t.Error(err)
		}
	})
	if taken == nil {
		return
	}
	defer taken.Close()
	cert, key := selfSigned(t)
	tls := "cert: " + cert + ", key: " + key
	run := func(args ...string) (int, string) {
		c := in(t.Context(), m.name, append([]string{os.Args[0]}, args...)...)
		c.Env = append(os.Environ(), asProgram+"=1")
		out, _ := c.CombinedOutput() // the code says it
		return c.ProcessState.ExitCode(), string(out)
	}
	for _, test := range []struct {
		text    string
		ok      bool
		machine bool // it is the machine that refuses
	}{
		{"", true, false},
		{"turn: {listen: [443]}", true, false},
		{"turn: {listen: ['198.51.100.1:443']}", true, false},
		{"turn: {listen: [8935]}", true, false},
		{"turn: {listen: [5349], tls: {" + tls + "}}", true, false},
		{"turn: {tls: {listen: [3478], " + tls + "}}", true, false},
		{"turn: {listen: [5349], tls: {listen: [5349], " + tls + "}}", false, false},
		{"turn: {listen: [3478, '198.51.100.1:3478']}", true, false},
		{"turn: {listen: [1935]}", false, false},
		{"turn: {ports: 20000-20999, users: {ann: wonderland}}", true, false},
		{"turn: {users: {ann: wonderland}}\nrelay: {ports: 49152-65535}", false, false},
		{"relay: {ports: 1-65535}", false, false},
		{"relay: {ports: 1936-1939}", true, false},
		{"relay: {ports: 30000-30009}\nturn: {ports: 30005-30020}", false, false},
		{"stun: {ports: [1935, 1936]}", false, false},
		{"stun: {ports: [443, 3479]}", true, false},
		{"stun: {ports: [3478, 3479]}\nturn: {listen: [3478]}", true, false},
		{"probe: {ports: 3470-3480}", true, false},
		{"probe: {ports: 1930-1940}", false, false},
		{"listen: [3478]", true, false},
		{"listen: [1940]", true, false},
		{"listen: [1935, '198.51.100.1:3478']", true, false},
		{"listen: [1935, '198.51.100.1:1935']", true, false},
		{"listen: ['198.51.100.1:1935', '[::]:1935']", true, false},
		{"listen: ['224.0.0.1:1935']", false, false},
		{"admin: {listen: '127.0.0.1:3478'}", true, false},
		{"admin: {listen: '127.0.0.1:3478'}\nturn: {listen: [3478]}", false, false},
		{"admin: {listen: '127.0.0.1:3478'}\nturn: {listen: [3478]}\nlisten: ['198.51.100.1:1935']", true, false},
		{"alternate: [198.51.100.1]", true, false},
		{"alternate: [198.51.100.9]", false, true},
		{"listen: ['192.0.2.99:1935']", false, true},
		{"relay: {extra: [80]}", false, true},
		{"listen: [80]", false, true},
	} {
		file := config(t, test.text+"\n")
		check, said := run("check", file)
		if wantCheck := test.ok || test.machine; (check == exitOK) != wantCheck {
			t.Errorf("%q: check: %d %s", test.text, check, said)
		}
		if probe, said := run("check", "--probe", file); (probe == exitOK) != test.ok {
			t.Errorf("%q: check --probe: %d %s", test.text, probe, said)
		}
		p := m.start("serve", "--config", file)
		serves := false
		for line := range p.lines {
			p.banner += line + "\n"
			if serves = strings.HasPrefix(line, "  stop "); serves {
				break
			}
		}
		stop := p.ended
		if serves {
			stop = p.end
		}
		if code := stop(); serves != test.ok || serves != (code == exitOK) {
			t.Errorf("%q: serve serves %t, exit %d:\n%s", test.text, serves, code, p.banner)
		}
	}
}
