package udp

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestMerging(t *testing.T) {
	const first = mergeWindow + minPause // the datagrams of a try that fails, and of the pause after it
	for _, test := range []struct {
		name string
		run  int // datagrams in a run, as they come
		kept int // of these, put together by the kernel
		want []bool
		at   []int // after so many datagrams
	}{
		{"alone", 1, 1, []bool{false, false, false}, []int{mergeWindow, 10 * mergeWindow, first}},
		{"runs that stay", 8, 8, []bool{false, true, true, true}, []int{mergeWindow - 8, mergeWindow, 2 * mergeWindow, 100 * mergeWindow}},
		{"pairs", 2, 2, []bool{true, true}, []int{mergeWindow, 100 * mergeWindow}},
		{
			"runs that the kernel does not put together", 8, 1,
			[]bool{true, true, false, false, true, false, false},
			[]int{mergeWindow, 2*mergeWindow - 8, 2 * mergeWindow, mergeWindow + first, 2*mergeWindow + first, 3*mergeWindow + first, 2*mergeWindow + 2*first},
		},
	} {
		var m merging
		seen := 0
		for i, at := range test.at {
			for seen < at {
				pieces := 1
				if m.on {
					pieces = test.run / test.kept
				}
				m.saw(pieces, test.run)
				seen += test.run
			}
			if m.on != test.want[i] {
				t.Errorf("%s: after %d datagrams on is %v", test.name, at, m.on)
			}
		}
	}
}

// However long it fails, tries get no rarer than every maxPause datagrams, and one that succeeds makes the
// next pause short again.
func TestMergingTriesAgain(t *testing.T) {
	var m merging
	fail := func() (after int) {
		for ; !m.on; after += 8 {
			m.saw(1, 8)
		}
		for m.on {
			m.saw(8, 8)
		}
		return after
	}
	last := 0
	for range 20 {
		last = fail()
	}
	if last != maxPause+mergeWindow {
		t.Errorf("tries every %d datagrams", last)
	}
	for seen := 0; !m.on || seen < maxPause+3*mergeWindow; seen += 8 {
		m.saw(1, 8)
	}
	fail()
	if m.rest != minPause {
		t.Errorf("after success, the next failure pauses for %d", m.rest)
	}
	m = merging{rest: math.MaxInt} // for kernels without it
	for range 10 * mergeWindow {
		if m.saw(1, 8) {
			t.Fatal("tries where it cannot be")
		}
	}
}

// Whether the kernel puts datagrams together or not, and while that changes, they come out as they went in.
func TestMergedArriveAsDatagrams(t *testing.T) {
	for family, a := range families(t) {
		one, other, to := listen(t, a), listen(t, a), listen(t, a)
		in, err := NewInlet([]Socket{to}, 1500)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		m := to.batch.(*mmsg)
		next := map[netip.AddrPort]uint32{}
		sent, got, oversize := 0, 0, 0
		take := func(_ int, d []Datagram) {
			for i := range d {
				number := binary.BigEndian.Uint32(d[i].Data)
				if number < next[d[i].Peer] || len(d[i].Data) != sizeOf(number) || d[i].TOS != uint8(number/5%4) {
					t.Fatalf("%s: %d bytes with TOS %d, number %d after %d", family, len(d[i].Data), d[i].TOS, number, next[d[i].Peer])
				}
				next[d[i].Peer] = number + 1
				got++
			}
		}
		number := uint32(0)
		send := func(c *Conn, n int) {
			out := make([]Datagram, n)
			for i := range out {
				out[i] = Datagram{Peer: to.LocalAddr(), TOS: uint8(number / 5 % 4), Data: make([]byte, sizeOf(number))}
				binary.BigEndian.PutUint32(out[i].Data, number)
				if sizeOf(number) > 1500 {
					oversize++
				}
				number++
			}
			if n, err := c.WriteBatch(out); n != len(out) || err != nil {
				t.Fatal(n, err)
			}
			sent += n
			for end := time.Now().Add(5 * time.Second); got < sent-oversize && time.Now().Before(end); {
				if err := in.Wait(100*time.Millisecond, take); err != nil {
					t.Fatal(err)
				}
			}
		}
		was := m.merged
		changes := 0
		for round := range 3000 {
			if round < 200 || round > 2000 {
				send(one, 20)
			} else {
				send(one, 1)
				send(other, 1)
			}
			if m.merged != was {
				was = m.merged
				changes++
			}
		}
		if got != sent-oversize || to.Stats().Oversize != uint64(oversize) || oversize == 0 {
			t.Errorf("%s: %d came of %d, %+v of %d too long", family, got, sent, to.Stats(), oversize)
		}
		switch {
		case m.merging.rest > maxPause:
			t.Log("this kernel has no UDP_GRO")
		case changes < 3:
			t.Errorf("%s: switched %d times", family, changes)
		}
	}
}

// sizeOf is the length of the datagram of that number: some in a row are equal, the last of them may be
// shorter, and some are longer than can be received.
func sizeOf(number uint32) int {
	switch {
	case number%500 < 5:
		return 1501
	case number%5 == 4:
		return 700
	}
	return 1000
}
