package main

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"pileus/natprobe/binding"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

var updateSecurity = flag.Bool("update-security", false, "write the table of answers into SECURITY.md")

// packetOf is what somebody may send from an address that is not his own.
type packetOf struct {
	name string
	data []byte
}

// startupPacket is a chunk under the key that everybody knows.
func startupPacket(t *testing.T, id wire.SessionID, chunk interface{ Append([]byte) []byte }) []byte {
	t.Helper()
	sealer, _ := flash.NewStartup()
	b := sealer.Begin(nil)
	b = wire.Header{Mode: wire.ModeStartup}.Append(b)
	return bytes.Clone(sealer.Finish(chunk.Append(b), id))
}

// rtmfpQuestions are all chunks of startup, and what is no startup. A peer ID is that
// of a client of the node.
func rtmfpQuestions(t *testing.T, peer flash.PeerID, node flash.PeerID) []packetOf {
	t.Helper()
	url := func(s string) []byte { return flash.EPD{Ancillary: []byte(s), HasAncillary: true}.Append(nil) }
	fingerprint := func(p flash.PeerID) []byte { return flash.EPD{Fingerprint: p, HasFingerprint: true}.Append(nil) }
	tag := bytes.Repeat([]byte{7}, 16)
	at := wire.Address{AddrPort: netip.MustParseAddrPort("203.0.113.9:53"), Origin: wire.OriginReported}
	packet := func(chunk interface{ Append([]byte) []byte }) []byte {
		return startupPacket(t, wire.SessionID{}, chunk)
	}
	return []packetOf{
		{"IHello, URI of 60 bytes", packet(wire.IHello{EPD: url("rtmfp://rendezvous.example.org:1935/conference/rooms/kitchen"), Tag: tag})},
		{"IHello, URI of 12 bytes", packet(wire.IHello{EPD: url("rtmfp://a.b/"), Tag: tag})},
		{"IHello, no URI, no tag", packet(wire.IHello{EPD: url("")})},
		{"IHello for the node's fingerprint", packet(wire.IHello{EPD: fingerprint(node), Tag: tag})},
		{"IHello for a client's peer ID", packet(wire.IHello{EPD: fingerprint(peer), Tag: tag})},
		{"FIHello", packet(wire.FIHello{EPD: fingerprint(node), ReplyAddress: at, Tag: tag})},
		{"RHello", packet(wire.RHello{Tag: tag, Cookie: make([]byte, 64), Certificate: make([]byte, 140)})},
		{"Redirect", packet(wire.Redirect{Tag: tag, AddressList: at.Append(nil)})},
		{"IIKeying with a cookie that is none", packet(wire.IIKeying{
			SessionID: wire.SessionID{1}, Cookie: make([]byte, 64), Certificate: make([]byte, 140), Component: make([]byte, 140), Signature: []byte{'X'},
		})},
		{"RIKeying", startupPacket(t, wire.SessionID{1}, wire.RIKeying{SessionID: wire.SessionID{2}, Component: make([]byte, 140), Signature: []byte{'X'}})},
		{"CookieChange", startupPacket(t, wire.SessionID{1}, wire.CookieChange{OldCookie: make([]byte, 64), NewCookie: make([]byte, 64)})},
		{"packet of a session", bytes.Repeat([]byte{9}, 64)},
		{"nothing", nil},
		{"1,200 zeros", make([]byte, 1200)},
	}
}

func stunQuestions() []packetOf {
	classic := make([]byte, 20) // RFC 3489 has no magic cookie
	classic[1] = 1
	message := func(method stun.Method, class stun.MessageClass, attributes ...stun.Setter) []byte {
		return stun.MustBuild(append([]stun.Setter{stun.TransactionID, stun.NewType(method, class)}, attributes...)...).Raw
	}
	unknown := stun.RawAttribute{Type: 0x7fff}
	udp := stun.RawAttribute{Type: stun.AttrRequestedTransport, Value: []byte{17, 0, 0, 0}}
	list := []packetOf{
		{"Binding", binding.Request{}.Append(nil)},
		{"Binding of RFC 3489", classic},
		{"Binding, both to change", binding.Request{ChangeIP: true, ChangePort: true}.Append(nil)},
		{"Binding, answer elsewhere", binding.Request{ResponsePort: 53}.Append(nil)},
		{"Binding, 800 bytes of padding", binding.Request{Padding: 800}.Append(nil)},
		{"Binding, an unknown attribute", message(stun.MethodBinding, stun.ClassRequest, unknown)},
		{"Binding indication", message(stun.MethodBinding, stun.ClassIndication)},
		{"Allocate", message(stun.MethodAllocate, stun.ClassRequest, udp)},
		{"Allocate without anything", message(stun.MethodAllocate, stun.ClassRequest)},
		{"Allocate, unknown attributes", message(stun.MethodAllocate, stun.ClassRequest, unknown, unknown, unknown)},
		{"ChannelData", []byte{0x40, 0, 0, 4, 1, 2, 3, 4}},
		{"STUN of an unknown method", message(0x3f, stun.ClassRequest)},
	}
	for _, m := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodConnect, stun.MethodConnectionBind} {
		list = append(list, packetOf{m.String(), message(m, stun.ClassRequest)})
	}
	return append(list, packetOf{"Send", message(stun.MethodSend, stun.ClassIndication)})
}

// answers sends a question, and counts what comes back, to a socket that answers
// nothing, until nothing has come for a while.
func answers(to string, data []byte) (n, ipBytes int, err error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if _, err := c.WriteToUDPAddrPort(data, netip.MustParseAddrPort(to)); err != nil {
		return 0, 0, err
	}
	b := make([]byte, 2048)
	for {
		_ = c.SetReadDeadline(time.Now().Add(quietFor))
		size, _, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, ipBytes, nil
		}
		n++
		ipBytes += size + ipv4Headers
	}
}

const (
	quietFor    = 1500 * time.Millisecond // repeats of ours are no farther apart
	ipv4Headers = 20 + 8
)

// Whoever sends one packet under another's address has at most three times its bytes sent
// there, by any service, or what a ration allows a prefix. SECURITY.md has the table.
func TestAnswersToStrangers(t *testing.T) {
	p := free(t, 8)
	file := config(t, strings.NewReplacer("S1", p[0], "S2", p[1], "T", p[2], "R", p[3], "E", p[4]).Replace(
		"log: {level: error}\nrelay: {ports: R-R, extra: [E]}\nstun: {ports: [S1, S2]}\nturn: {listen: [T], ports: 61100-61119, users: {alice: wonderland}}\n"))
	n := serving(t, "--config", file, "--listen", "127.0.0.1:0", "--probe-ports", p[5]+"-"+p[7], "--admin", "")
	main := n.find(`listening    127\.0\.0\.1:(\d+)/udp`)
	raw, err := hex.DecodeString(n.find(`fingerprint  ([0-9a-f]{64})\n`))
	if err != nil {
		t.Fatal(err)
	}
	client := connects(t, "rtmfp://127.0.0.1:"+main+"/")
	questions := append(rtmfpQuestions(t, client.id.PeerID(), flash.PeerID(raw)), stunQuestions()...)
	services := []struct{ name, port string }{
		{"RTMFP", main},
		{"probe port", p[6]},
		{"relay port", p[3]},
		{"route port", p[4]},
		{"STUN", p[0]},
		{"TURN", p[2]},
		{"TURN relay port", "61100"},
	}
	table := make([]string, len(services)*len(questions))
	var asking sync.WaitGroup
	for i, s := range services {
		for j, q := range questions {
			asking.Go(func() {
				asked := len(q.data) + ipv4Headers
				count, got, err := answers("127.0.0.1:"+s.port, q.data)
				times := float64(got) / float64(asked)
				note := ""
				if times > mostReflected {
					note = rationed[q.name]
				}
				switch {
				case err != nil:
					t.Errorf("%s, %s: %v", s.name, q.name, err)
				case times > mostReflected && note == "":
					t.Errorf("%s, %s: %d bytes for %d", s.name, q.name, got, asked)
				case got > 0:
					table[i*len(questions)+j] = fmt.Sprintf("| %s | %s | %d | %d | %d | %.1f | %s |\n", s.name, q.name, asked, count, got, times, note)
				}
			})
		}
	}
	asking.Wait()
	compareSecurity(t, strings.Join(table, ""))
}

const mostReflected = 3

// rationed are questions whose answer is more than three times as long, and what bounds
// such answers.
var rationed = map[string]string{"IHello, no URI, no tag": "such answers: 50, then 5 a second, to a /24 or /56"}

const (
	tableBegin = "<!-- answers: written by TestAnswersToStrangers -->\n"
	tableEnd   = "<!-- /answers -->\n"
	tableHead  = "| port | question | its bytes | answers | their bytes | times | |\n|---|---|---|---|---|---|---|\n"
)

func compareSecurity(t *testing.T, table string) {
	t.Helper()
	const file = "../../SECURITY.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	have, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("SECURITY.md has no place for the table")
	}
	want := tableHead + table
	if *updateSecurity {
		if err := os.WriteFile(file, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != want {
		t.Errorf("SECURITY.md's table is another than what was measured (go test ./cmd/pileus -run TestAnswersToStrangers -update-security):\n%s", want)
	}
}
