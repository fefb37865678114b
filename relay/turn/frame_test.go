package turn

import (
	"bytes"
	"testing"

	"github.com/pion/stun/v2"
)

// spins are frames whose length comes out as nothing in 16 bits: pion's stream reader then turns on the
// spot, for good; and their neighbours. Each is 20 bytes at least, as pion wants nine before it looks.
func spins() [][]byte {
	channel := func(length uint16) []byte {
		return append([]byte{0x40, 0x00, byte(length >> 8), byte(length)}, make([]byte, 16)...)
	}
	message := func(length uint16) []byte {
		b := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
		b[2], b[3] = byte(length>>8), byte(length)
		return b
	}
	return [][]byte{
		channel(0xFFFC), channel(0xFFFD), channel(0xFFFE), channel(0xFFFF), channel(0xFFFB), channel(0xFFF9), channel(maxDatagram),
		message(0xFFEC), message(0xFFF0), message(0xFFFC), message(0xFFE8), message(0x0640),
	}
}

func TestFrameLen(t *testing.T) {
	for _, b := range spins() {
		if n, err := frameLen(b); err == nil && n <= maxDatagram {
			t.Errorf("%x: %d bytes", b, n)
		}
	}
	message := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("pileus")).Raw
	for _, test := range []struct {
		b    []byte
		want int
		fail bool
	}{
		{nil, 0, false},
		{[]byte{0x40, 0, 0}, 0, false},
		{[]byte{0x40, 0, 0, 0}, 4, false},
		{[]byte{0x4F, 0xFF, 0, 1}, 8, false},
		{[]byte{0x40, 0, 0, 4}, 8, false},
		{[]byte{0x40, 0, 0, 5}, 12, false},
		{[]byte{0x7F, 0xFF, 0, 0}, 4, false},
		{[]byte{0x80, 0, 0, 0}, 0, true},
		{[]byte{0xFF, 0xFF, 0xFF, 0xFF}, 0, true},
		{[]byte{0x40, 0, 0x06, 0x38}, 1596, false},
		{[]byte{0x40, 0, 0x06, 0x39}, 1600, false},
		{[]byte{0x40, 0, 0xff, 0xff}, 65540, false},
		{[]byte{0, 1, 0xff, 0xfc}, 65552, false},
		{message, len(message), false},
		{message[:4], len(message), false},
		{message[:7], len(message), false},
		{append([]byte{0, 1, 0, 2}, message[4:]...), 0, true},
		{append(bytes.Clone(message[:4]), 0, 0, 0, 0), 0, true},
		{[]byte("GET / HTTP/1.1\r\n"), 21540, false},
		{[]byte{0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1}, 0, true}, // TLS where none is
	} {
		if n, err := frameLen(test.b); n != test.want || (err != nil) != test.fail {
			t.Errorf("%x: %d, %v", test.b, n, err)
		}
	}
}

func FuzzFrameLen(f *testing.F) {
	for _, b := range spins() {
		f.Add(b)
	}
	f.Add(channelData(0x4000, []byte("hello")))
	f.Add(sendIndication(stranger.AddrPort(), []byte("hello")))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := frameLen(b)
		switch {
		case err != nil && n != 0, n < 0, n > stunHeader+1<<16, n > 0 && n < channelHeader:
			t.Fatalf("%d, %v", n, err)
		case err == nil && n == 0 && len(b) >= channelHeader:
			t.Fatal("four bytes do not suffice")
		case err == nil && n > 0 && n <= len(b) && !isChannelData(b[:n]) && !isSTUN(b[:n]):
			t.Fatalf("a frame of %d bytes that is neither", n)
		}
		// What is told of a prefix holds for the rest, or is refused.
		for i := range min(len(b), stunHeader) {
			if m, early := frameLen(b[:i]); early == nil && m > 0 && err == nil && m != n {
				t.Fatalf("%d at %d bytes, then %d", m, i, n)
			}
		}
	})
}
