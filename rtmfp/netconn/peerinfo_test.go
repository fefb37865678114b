package netconn

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/vectors"
)

func TestPeerAddresses(t *testing.T) {
	long := make(amf.Args, 100)
	for i := range long {
		long[i] = amf.String("192.0.2.1:1")
	}
	for _, tt := range []struct {
		name string
		c    Command
		want string
	}{
		{"Flash", Command{Object: amf.Null{}, Args: amf.Args{amf.String("203.0.113.20:55949"), amf.String("[2001:db8::1]:55950")}}, "203.0.113.20:55949 [2001:db8::1]:55950"},
		{"librtmfp leaves the null out", Command{Object: amf.String("192.0.2.1:1"), Args: amf.Args{amf.String("192.0.2.2:2")}}, "192.0.2.1:1 192.0.2.2:2"},
		{"empty", Command{Object: amf.Null{}}, ""},
		{"nothing at all", Command{}, ""},
		{"bad ones among good ones", Command{Args: amf.Args{amf.String("host.example:1"), amf.Number(5), amf.String("192.0.2.1:1"), amf.Null{}, amf.Object{}, amf.String("192.0.2.256:1")}}, "192.0.2.1:1"},
		{"without a port", Command{Args: amf.Args{amf.String("192.0.2.1"), amf.String("2001:db8::1"), amf.String("[2001:db8::2]")}}, "192.0.2.1:7 [2001:db8::1]:7 [2001:db8::2]:7"},
		{"mapped", Command{Args: amf.Args{amf.String("[::ffff:192.0.2.1]:5")}}, "192.0.2.1:5"},
		{"unusable", Command{Args: amf.Args{
			amf.String("0.0.0.0:1"), amf.String("[::]:1"), amf.String("224.0.0.1:1"), amf.String("192.0.2.1:0"),
			amf.String("[fe80::1%eth0]:1"), amf.String("255.255.255.255:1"), amf.String(strings.Repeat("1", 1000)),
		}}, ""},
		{"too many", Command{Args: long}, strings.TrimSpace(strings.Repeat("192.0.2.1:1 ", maxPeerAddresses))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, a := range peerAddresses(tt.c, 7) {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The rows of the reference, but stricter about ports (NOTES 29), laxer about
// their absence, and without unspecified addresses.
func TestRecordedPresentations(t *testing.T) {
	rows := vectors.Primitives(t).AddressPresentationParse
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	differ := map[string]string{
		"192.0.2.1:99999": "", "192.0.2.1:-1": "", "192.0.2.1:12abc": "", "[::]:0": "",
		"192.0.2.129": "192.0.2.129:7", "[2001:db8::1]": "[2001:db8::1]:7",
	}
	for _, row := range rows {
		want, special := differ[row.Text]
		if !special && row.OK {
			want = row.Address
		}
		var got string
		if a, ok := parseAddress(row.Text, 7); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", row.Text, got, want)
		}
	}
}

func TestPeerInfo(t *testing.T) {
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("[2001:db8::1]:6")}
	m, err := ParseMessage(peerInfo(want).Append(nil, TypeCommand))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCommand(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, peerAddresses(c, 1), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
