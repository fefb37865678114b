package flash

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var sessionID = [4]byte{3, 0, 0, 0}

// TestSealOpen: any packet comes back, padded with ff to whole blocks, from a
// datagram that Overhead and Room foretold.
func TestSealOpen(t *testing.T) {
	for _, bench := range benchPolicies {
		t.Run(bench.name, func(t *testing.T) {
			near, far := pair(t, bench.policy)
			rapid.Check(t, func(t *rapid.T) {
				packet := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "packet")
				near.Sealer.seq = max(near.Sealer.seq, rapid.Uint64Range(0, 1<<40).Draw(t, "seq"))
				overhead := near.Sealer.Overhead()
				datagram := append(near.Sealer.Begin(nil), packet...)
				exact := 0
				for near.Sealer.Room(exact) < len(packet) {
					exact++
				}
				datagram = near.Sealer.Finish(datagram, sessionID)
				if len(datagram) != exact || len(datagram) > len(packet)+overhead {
					t.Fatalf("packet of %d bytes became %d, want %d and at most %d more", len(packet), len(datagram), exact, overhead)
				}
				got, err := far.Opener.Open(nil, datagram)
				if err != nil {
					t.Fatal(err)
				}
				padding, ok := bytes.CutPrefix(got, packet)
				if !ok || len(padding) >= blockLen || len(bytes.Trim(padding, "\xff")) > 0 {
					t.Fatalf("opened %x, want %x and padding", got, packet)
				}
			})
		})
	}
}

// TestOpenCorrupted flips every bit behind the session ID, cuts and lengthens: all
// must fail, and nothing change.
func TestOpenCorrupted(t *testing.T) {
	for _, bench := range benchPolicies {
		t.Run(bench.name, func(t *testing.T) {
			// A checksum of 16 bits fits one in 65,536 bad datagrams by chance, but not the same one under
			// two keys.
			var fars []*SessionKeys
			var datagrams [][]byte
			for range 2 {
				near, far := pair(t, bench.policy)
				fars = append(fars, far)
				datagrams = append(datagrams, near.Sealer.Finish(append(near.Sealer.Begin(nil), make([]byte, 60)...), sessionID))
			}
			before := fars[0].Opener.window
			opened := func(change func([]byte) []byte) (err error) {
				for i, far := range fars {
					if _, err = far.Opener.Open(nil, change(slices.Clone(datagrams[i]))); err != nil {
						return err
					}
				}
				return nil
			}
			size := len(datagrams[0])
			for bit := sessionIDLen * 8; bit < size*8; bit++ {
				err := opened(func(d []byte) []byte { d[bit/8] ^= 1 << (bit % 8); return d })
				if !errors.Is(err, ErrHMAC) && !errors.Is(err, ErrChecksum) {
					t.Errorf("bit %d flipped: %v", bit, err)
				}
			}
			for n := range size {
				if opened(func(d []byte) []byte { return d[:n] }) == nil {
					t.Errorf("opened when cut to %d bytes", n)
				}
			}
			for n := 1; n < 40; n++ {
				if opened(func(d []byte) []byte { return append(d, make([]byte, n)...) }) == nil {
					t.Errorf("opened with %d bytes more", n)
				}
			}
			for _, short := range []int{0, 1, 4, 11, 12, 19, 21} {
				if err := opened(func([]byte) []byte { return make([]byte, short) }); !errors.Is(err, ErrTruncated) {
					t.Errorf("%d bytes: %v, want ErrTruncated", short, err)
				}
			}
			for i, far := range fars {
				if far.Opener.window != before {
					t.Error("bad datagrams changed the window")
				}
				if _, err := far.Opener.Open(nil, datagrams[i]); err != nil {
					t.Errorf("the good datagram: %v", err)
				}
			}
		})
	}
}

// TestOpenDirection: a session's packets do not open where they came from.
func TestOpenDirection(t *testing.T) {
	near, _ := pair(t, Policy{Modern: true})
	datagram := near.Sealer.Finish(append(near.Sealer.Begin(nil), 1, 2, 3), sessionID)
	if _, err := near.Opener.Open(nil, datagram); !errors.Is(err, ErrHMAC) {
		t.Errorf("a reflected datagram: %v", err)
	}
}

func TestOpenReordered(t *testing.T) {
	near, far := pair(t, Policy{Modern: true})
	var sent [][]byte
	for i := range 70 {
		sent = append(sent, near.Sealer.Finish(append(near.Sealer.Begin(nil), byte(i)), sessionID))
	}
	for _, step := range []struct {
		n    int
		want error
	}{{40, nil}, {8, nil}, {8, ErrReplay}, {69, nil}, {40, ErrReplay}, {6, nil}, {5, ErrReplay}, {0, ErrReplay}} {
		packet, err := far.Opener.Open(nil, sent[step.n])
		if !errors.Is(err, step.want) || err == nil && packet[0] != byte(step.n) {
			t.Errorf("datagram %d: %x, %v, want %v", step.n, packet, err, step.want)
		}
	}
}

// TestAbandonedBegin: a packet begun and not finished costs no sequence number.
func TestAbandonedBegin(t *testing.T) {
	near, far := pair(t, Policy{Modern: true})
	near.Sealer.Begin(nil)
	exchange(t, near, far)
	if near.Sealer.seq != 1 {
		t.Errorf("sequence number %d after one packet", near.Sealer.seq)
	}
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	for _, bench := range benchPolicies {
		near, far := pair(t, bench.policy)
		packet := make([]byte, benchPacketLen)
		buf, dst := make([]byte, 0, 2048), make([]byte, 0, 2048)
		allocs := testing.AllocsPerRun(200, func() {
			buf = near.Sealer.Finish(append(near.Sealer.Begin(buf), packet...), sessionID)
			if _, err := far.Opener.Open(dst, buf); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", bench.name, allocs)
		}
	}
}
