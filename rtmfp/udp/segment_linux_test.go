package udp

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestRun(t *testing.T) {
	one, other := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	of := func(peer netip.AddrPort, tos uint8, size int) Datagram {
		return Datagram{Peer: peer, TOS: tos, Data: make([]byte, size)}
	}
	many := make([]Datagram, 100)
	for i := range many {
		many[i] = of(one, 0, 100)
	}
	long := make([]Datagram, 60)
	for i := range long {
		long[i] = of(one, 0, 1400)
	}
	for _, test := range []struct {
		name string
		d    []Datagram
		want int
	}{
		{"alone", []Datagram{of(one, 0, 100)}, 1},
		{"two", []Datagram{of(one, 2, 100), of(one, 2, 100)}, 2},
		{"another peer", []Datagram{of(one, 0, 100), of(other, 0, 100)}, 1},
		{"another TOS", []Datagram{of(one, 0, 100), of(one, 2, 100)}, 1},
		{"the last is shorter", []Datagram{of(one, 0, 100), of(one, 0, 99), of(one, 0, 99)}, 2},
		{"one is longer", []Datagram{of(one, 0, 100), of(one, 0, 101)}, 1},
		{"an empty one", []Datagram{of(one, 0, 100), of(one, 0, 0)}, 1},
		{"empty ones", []Datagram{of(one, 0, 0), of(one, 0, 0)}, 1},
		{"too many", many, maxRun},
		{"too long", long, maxRunBytes / 1400},
	} {
		if got := run(test.d); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// Datagrams come out as they went in, whether the kernel takes them together or not, and also those
// around a run that is refused.
func TestRunsArriveAsDatagrams(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		local := netip.AddrPortFrom(netip.MustParseAddr(host), 0)
		from, err := Listen(local, Options{})
		if err != nil {
			t.Skipf("no %s here: %v", host, err)
		}
		defer from.Close()
		to, err := Listen(local, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if !from.batch.(*mmsg).segment {
			t.Log("this kernel has no UDP_SEGMENT")
		}
		var out []Datagram
		sizes := []int{500, 500, 500, 20, 500, 400, 400, 0, 0, 1200, 1200, 1200, 1200, 7}
		for i, size := range sizes {
			out = append(out, Datagram{Peer: to.LocalAddr(), TOS: uint8(i/4) & 3, Data: bytes.Repeat([]byte{byte(i)}, size)})
		}
		nowhere := Datagram{Data: []byte("refused: it has no peer")}
		out = append(out[:6], append([]Datagram{nowhere, nowhere}, out[6:]...)...)
		if n, err := from.WriteBatch(out); n != len(sizes) || err != nil {
			t.Fatalf("%s: %d of %d went: %v", host, n, len(sizes), err)
		}
		in := []Datagram{{Data: make([]byte, 2000)}}
		for i, size := range sizes {
			if _, err := to.ReadBatch(in); err != nil {
				t.Fatal(err)
			}
			if want := bytes.Repeat([]byte{byte(i)}, size); !bytes.Equal(in[0].Data, want) || in[0].TOS != uint8(i/4)&3 {
				t.Fatalf("%s: datagram %d has %d bytes and TOS %d", host, i, len(in[0].Data), in[0].TOS)
			}
		}
		if s := from.Stats(); s.WriteErrors != 2 {
			t.Errorf("%s: %d refused, want 2", host, s.WriteErrors)
		}
	}
}
