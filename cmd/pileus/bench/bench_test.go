package bench

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	local := netip.MustParseAddrPort("127.0.0.1:1935")
	for _, test := range []struct {
		name string
		cfg  Config
		want string // part of the error, "" for none
	}{
		{"defaults", Config{Server: local}, ""},
		{"no server", Config{}, "no server"},
		{"no port", Config{Server: netip.MustParseAddrPort("127.0.0.1:0")}, "no server"},
		{"remote", Config{Server: netip.MustParseAddrPort("192.0.2.1:1935")}, "--allow-remote"},
		{"remote allowed", Config{Server: netip.MustParseAddrPort("192.0.2.1:1935"), AllowRemote: true}, ""},
		{"IPv6", Config{Server: netip.MustParseAddrPort("[::1]:1935")}, "IPv4"},
		{"peers", Config{Server: local, Peers: maxPeers + 1}, "peers 30001"},
		{"rounds", Config{Server: local, Rounds: -1}, "rounds -1"},
		{"seconds", Config{Server: local, Seconds: 3600}, "seconds 3600"},
		{"sources", Config{Server: local, Sources: netip.MustParsePrefix("10.0.0.0/24")}, "/8"},
		{"only", Config{Server: local, Only: []string{"idle", "idel"}}, `no measurement "idel": there are session-2, `},
	} {
		err := test.cfg.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if err := (Config{Server: netip.MustParseAddrPort("10.0.0.1:1935")}).Validate(); !errors.Is(err, errRemote) {
		t.Errorf("private address: %v", err)
	}
}

func TestMedians(t *testing.T) {
	var r report
	for round, v := range []float64{9, 1, 4} {
		r.add(Result{Measurement: "idle", Server: "a", Round: round + 1, Values: []Value{{"cpu", v, "%"}}})
		r.add(Result{Measurement: "idle", Server: "b", Round: round + 1, Values: []Value{{"cpu", 2 * v, "%"}, {"memory", v, "KiB"}}})
	}
	r.add(Result{Measurement: "junk", Server: "a", Round: 1, Values: []Value{{"cpu", 2, "%"}}})
	r.add(Result{Measurement: "junk", Server: "a", Round: 2, Error: "gone"})
	r.add(Result{Measurement: "junk", Server: "a", Round: 3, Values: []Value{{"cpu", 4, "%"}}})
	want := []Result{
		{Measurement: "idle", Server: "a", Values: []Value{{"cpu", 4, "%"}}},
		{Measurement: "idle", Server: "b", Values: []Value{{"cpu", 8, "%"}, {"memory", 4, "KiB"}}},
		{Measurement: "junk", Server: "a", Values: []Value{{"cpu", 3, "%"}}, Error: "gone"},
	}
	if diff := cmp.Diff(want, r.medians()); diff != "" {
		t.Error(diff)
	}

	var b strings.Builder
	if err := r.table(&b); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	wantTable := []string{
		"measurement unit a b ÷ b",
		"idle cpu % 4.00 8.00 0.50",
		"idle memory KiB - 4.00 -",
		"junk a: gone",
		"junk cpu % 3.00 - -",
	}
	if diff := cmp.Diff(wantTable, got); diff != "" {
		t.Error(diff)
	}
}
