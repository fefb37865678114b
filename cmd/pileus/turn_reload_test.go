package main

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/pion/logging"
	pionturn "github.com/pion/turn/v3"
)

// allocation asks for one with pion's client, and gives it or the server's words.
func allocation(t *testing.T, server, user, password string) (relay net.PacketConn, err error) {
	t.Helper()
	return allocationOver(t, "udp", server, user, password)
}

func allocationOver(t *testing.T, network, server, user, password string) (relay net.PacketConn, err error) {
	t.Helper()
	var conn net.PacketConn
	if network == "tcp" {
		stream, err := net.Dial("tcp", server)
		if err != nil {
			t.Fatal(err)
		}
		conn = pionturn.NewSTUNConn(stream)
	} else if conn, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := pionturn.NewClient(&pionturn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: conn, Username: user, Password: password,
		LoggerFactory: &logging.DefaultLoggerFactory{Writer: t.Output(), DefaultLogLevel: logging.LogLevelDisabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	return c.Allocate()
}

// A node that nobody could have a relay from gives its first user one after a reload, and sends clients to
// another node while it drains.
func TestTURNReloadsAndDrains(t *testing.T) {
	p := free(t, 1)
	file := config(t, "")
	write := func(users string) {
		t.Helper()
		text := "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\nadmin: {listen: '127.0.0.1:0'}\n" +
			"turn: {listen: [" + p[0] + "], " + users + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("users: {}")
	n := serving(t, "--config", file)
	at, server := n.find(`admin        (http://127\.0\.0\.1:\d+)/`), "127.0.0.1:"+p[0]
	refused := func(code string) {
		t.Helper()
		if _, err := allocation(t, server, "alice", "wonderland"); err == nil || !strings.Contains(err.Error(), "error "+code) {
			t.Errorf("%v, want %s", err, code)
		}
	}
	order := func(method, path, body string, want int) {
		t.Helper()
		if s, text := order(t, at, method, path, "", body); s != want {
			t.Errorf("%s %s: %d %s", method, path, s, text)
		}
	}
	if code := allocated(t, "udp", server); code != 403 {
		t.Errorf("without users: %d", code)
	}
	write("users: {alice: wonderland}, alternates: [198.51.100.7]")
	order("POST", "/reload", "", 200)
	relay, err := allocation(t, server, "alice", "wonderland")
	if err != nil {
		t.Fatal(err)
	}
	order("POST", "/drain", `{"deadline":"1h"}`, 204)
	refused("300")
	write("users: {alice: wonderland}")
	order("POST", "/reload", "", 200)
	refused("486")
	order("DELETE", "/drain", "", 204)
	after, err := allocation(t, server, "alice", "wonderland")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []net.PacketConn{relay, after} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
