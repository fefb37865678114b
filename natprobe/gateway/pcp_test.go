package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// pcpAnswer is what RFC 6887 has a server answer to a request: its first four
// bytes and those of the opcode are copied.
func pcpAnswer(request []byte, code byte, lifetime uint32, external netip.Addr) []byte {
	b := bytes.Clone(request)
	b[1] |= 0x80
	b[3] = code
	binary.BigEndian.PutUint32(b[4:], lifetime)
	clear(b[8:24]) // epoch, reserved
	addr := external.As16()
	binary.BigEndian.PutUint16(b[42:], 40000)
	copy(b[44:], addr[:])
	return b
}

func pcpServer(request []byte) [][]byte {
	return [][]byte{pcpAnswer(request, 0, binary.BigEndian.Uint32(request[4:]), outside)}
}

func changed(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

// What is granted is given back, and neither is for anybody else.
func TestPCP(t *testing.T) {
	t.Parallel()
	router, asked := udpServer(t, "127.0.0.1:0", pcpServer)
	got, err := (&network{router: router}).pcp(soon(t))
	if err != nil || got.external != outside || got.at != router.Addr() || got.remark != "" {
		t.Fatalf("%+v, %v", got, err)
	}
	first, second := <-asked, <-asked
	if len(first) != 60 || first[0] != 2 || first[1] != 1 || binary.BigEndian.Uint32(first[4:]) != 120 {
		t.Errorf("asked %x", first)
	}
	if client := netip.AddrFrom16([16]byte(first[8:24])); client != netip.MustParseAddr("::ffff:127.0.0.1") {
		t.Errorf("for %v", client)
	}
	if bytes.Equal(first[24:36], make([]byte, 12)) || first[36] != 17 || binary.BigEndian.Uint16(first[40:]) == 0 {
		t.Errorf("asked %x", first)
	}
	if binary.BigEndian.Uint32(second[4:]) != 0 || !bytes.Equal(second[8:], first[8:]) {
		t.Errorf("given back by %x", second)
	}
}

func TestPCPRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(request []byte) [][]byte
		says   string
	}{
		{"a router of NAT-PMP", func([]byte) [][]byte { return [][]byte{{0, 0x81, 0, 1, 0, 0, 0, 9}} }, "speaks NAT-PMP"},
		{"of a later version", func(r []byte) [][]byte { return [][]byte{changed(pcpAnswer(r, 1, 0, outside), 0, 3)} }, "version 3"},
		{"that forbids it", func(r []byte) [][]byte { return [][]byte{pcpAnswer(r, 2, 60, outside)} }, "NOT_AUTHORIZED"},
		{"behind a NAT", func(r []byte) [][]byte { return [][]byte{pcpAnswer(r, 12, 60, outside)} }, "a NAT between"},
		{"without a line", func(r []byte) [][]byte { return [][]byte{pcpAnswer(r, 7, 60, outside)} }, "no outside address"},
		{"of the future", func(r []byte) [][]byte { return [][]byte{pcpAnswer(r, 200, 60, outside)} }, "result 200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			router, asked := udpServer(t, "127.0.0.1:0", c.answer)
			got, err := (&network{router: router}).pcp(soon(t))
			if err == nil || !strings.Contains(plain(err), c.says) || got.at != router.Addr() {
				t.Errorf("%+v, %v", got, err)
			}
			if len(asked) != 1 {
				t.Errorf("asked %d times", len(asked))
			}
		})
	}
}

// What does not answer the request is left, and the answer behind it is taken.
func TestPCPStrangeAnswers(t *testing.T) {
	t.Parallel()
	lies := netip.MustParseAddr("203.0.113.66")
	for name, strange := range map[string]func(right []byte) []byte{
		"nothing":          func([]byte) []byte { return nil },
		"short":            func(b []byte) []byte { return b[:24] },
		"odd":              func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		"long":             func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 1200)...) },
		"a request":        func(b []byte) []byte { return changed(b, 1, 1) },
		"another opcode":   func(b []byte) []byte { return changed(b, 1, 0x82) },
		"another version":  func(b []byte) []byte { return changed(b, 0, 3) },
		"another nonce":    func(b []byte) []byte { return changed(b, 24, b[24]+1) },
		"another protocol": func(b []byte) []byte { return changed(b, 36, 6) },
		"another port":     func(b []byte) []byte { return changed(b, 40, b[40]+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			router, _ := udpServer(t, "127.0.0.1:0", func(r []byte) [][]byte {
				return append([][]byte{strange(pcpAnswer(r, 0, 120, lies))}, pcpServer(r)...)
			})
			if got, err := (&network{router: router}).pcp(soon(t)); err != nil || got.external != outside {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestPCPLosses(t *testing.T) {
	t.Parallel()
	losses := 2
	router, _ := udpServer(t, "127.0.0.1:0", func(r []byte) [][]byte {
		if losses--; losses >= 0 {
			return nil
		}
		return pcpServer(r)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if got, err := (&network{router: router}).pcp(ctx); err != nil || got.external != outside {
		t.Errorf("%+v, %v", got, err)
	}
}

// A mapping that is not taken back is told of.
func TestPCPLeft(t *testing.T) {
	t.Parallel()
	router, _ := udpServer(t, "127.0.0.1:0", func(r []byte) [][]byte {
		if binary.BigEndian.Uint32(r[4:]) == 0 {
			return [][]byte{pcpAnswer(r, 8, 0, outside)}
		}
		return [][]byte{pcpAnswer(r, 0, 1<<31, outside)}
	})
	got, err := (&network{router: router}).pcp(soon(t))
	if err != nil || got.external != outside || !strings.Contains(got.remark, "24h") {
		t.Errorf("%+v, %v", got, err)
	}
}

// Whoever is interrupted asks for nothing that stays.
func TestPCPInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	router, asked := udpServer(t, "127.0.0.1:0", func([]byte) [][]byte { cancel(); return nil })
	began := time.Now()
	if got, err := (&network{router: router}).pcp(ctx); err == nil {
		t.Errorf("%+v", got)
	}
	if time.Since(began) > 200*time.Millisecond {
		t.Errorf("it took %v", time.Since(began))
	}
	<-asked
	select {
	case last := <-asked:
		if binary.BigEndian.Uint32(last[4:]) != 0 {
			t.Errorf("asked %x", last)
		}
	case <-time.After(2 * time.Second):
		t.Error("nothing is given back")
	}
}

func TestPCPNotSpoken(t *testing.T) {
	t.Parallel()
	router := closedPort(t)
	got, err := (&network{router: router}).pcp(soon(t))
	if err == nil || !strings.HasPrefix(plain(err), "no answer") {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzMapAnswer(f *testing.F) {
	m := mapping{lifetime: mappingTime, client: netip.MustParseAddrPort("192.168.1.2:50000"), nonce: [12]byte{1, 2, 3}}
	right := pcpAnswer(m.request(), 0, 120, outside)
	f.Add(right)
	f.Add(pcpAnswer(m.request(), 12, 0, outside))
	f.Add([]byte{0, 0x81, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, ok := m.parse(b)
		if ok && g.refusal() == nil && (len(b) < len(right) || !bytes.Equal(b[24:37], right[24:37])) {
			t.Errorf("%x is granted", b)
		}
	})
}
