package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"pileus/natprobe"
)

var update = flag.Bool("update", false, "write the golden files")

// full is a report with all there is in one.
func full() Report {
	ap := netip.MustParseAddrPort
	yes := natprobe.Finding{Answer: natprobe.Yes, Hits: 7, Tries: 7, At: at(1000)}
	rec := recordOf(mapped([]uint16{50000, 61004}, []uint16{10001, 33005}))
	rec.Runs[0].Notes = []string{"a remark"}
	rec.Way = &Way{Interface: "eth0", Router: netip.MustParseAddr("192.168.1.1")}
	rec.Host = Host{Interfaces: []Interface{{Name: "eth0", MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.1.2/24")}}}}
	for i, port := range []uint16{12345, 2345, 60001, 40404} {
		rec.Runs[0].Observations = append(rec.Runs[0].Observations, natprobe.Observation{
			Kind: natprobe.KindSocket, Via: natprobe.ViaBinding, Since: at(1500 + i), At: at(1501 + i), Node: nodeMain, Tries: 1, Hits: 1,
			Local: netip.AddrPortFrom(netip.MustParseAddr("192.168.1.2"), uint16(45000+i)), Seen: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), port),
		})
	}
	rec.Depth = Depth{
		Lifetime:  &Lifetime{Fresh: Span{29.6, 32.6, 26}, Used: Span{116, 0, 30}, InboundRefresh: yes, Limit: 120},
		Load:      &Load{Destinations: 18, Same: 18, KeptFor: 18},
		ALG:       &ALG{Answers: 4, Mangled: 1, Plain: ap("192.168.1.2:40000"), Seen: ap("198.51.100.1:40000")},
		MTU:       &MTU{Bytes: 1454, Below: 1455, Interface: 1500, Tries: 28},
		MTUIn:     &MTU{Bytes: 1500, Interface: 1500, Tries: 8, Limited: true},
		Fragments: &Fragments{Out: yes, In: natprobe.Finding{Answer: natprobe.No, Tries: 7}},
		Marks: []Mark{
			{Name: "ECT(0)", Sent: 2, Out: map[uint8]int{0: 4}, In: map[uint8]int{2: 4}, Tries: 4},
			{Name: "EF", Sent: 0xb8, Out: map[uint8]int{0xb8: 3, 0: 1}, Tries: 4},
		},
		IPv6:     &IPv6{Global: true, Local: ap("[2001:db8::2]:5000"), Seen: ap("[2001:db8::2]:5000"), Translated: natprobe.No, NAT64: netip.MustParsePrefix("64:ff9b::/96")},
		Gateways: []Gateway{{Protocol: "UPnP IGD", At: "192.168.1.1", External: netip.MustParseAddr("100.64.0.7"), Took: time.Second}, {Protocol: "NAT-PMP", At: "192.168.1.1", Text: "no answer"}},
		Services: []Service{{Name: "STUN over TCP", At: "192.0.2.1:3478", Works: natprobe.Yes, Took: 82 * time.Millisecond, Text: "seen as 198.51.100.1:5000"}},
		Path:     &Path{Hops: []netip.Addr{netip.MustParseAddr("192.168.1.1"), {}, netip.MustParseAddr("100.64.0.1")}, Beyond: 1},
		Node:     &Node{At: nodeMain, Works: natprobe.Yes, Took: 126 * time.Millisecond, Fingerprint: "be5a", Seen: ap("198.51.100.1:40000"), Class: natprobe.SymmetricRandom, Mapping: natprobe.APDM, Filtering: natprobe.APDF},
	}
	rec.Trace = []Event{
		{At: at(0), Local: ap("192.168.1.2:40000"), Peer: nodeMain, Sent: true, Bytes: 20, Text: "Binding: where am I seen?"},
		{At: at(40), Local: ap("192.168.1.2:40000"), Peer: nodeMain, Bytes: 68, Text: "Binding success: seen as 198.51.100.1:40000"},
	}
	rec.Notes = []string{"another one"}
	return New(rec, at(4000), func(natprobe.Behavior) Reach {
		return Reach{Direct: []string{"public hosts"}, Relay: []string{"home routers", "symmetric NATs"}}
	})
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s, if that is right go test -update: %s", name, diff)
	}
}

func TestGoldenText(t *testing.T) {
	var out bytes.Buffer
	if err := full().WriteText(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	out.WriteString("\n")
	if err := full().WriteTrace(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", out.Bytes())
}

func TestGoldenProm(t *testing.T) {
	var out bytes.Buffer
	if err := full().WriteProm(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.prom", out.Bytes())
}

func TestGoldenJSON(t *testing.T) {
	out, err := json.MarshalIndent(full(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", append(out, '\n'))
	var again Report
	if err := json.Unmarshal(out, &again); err != nil {
		t.Fatal(err)
	}
	if r := New(again.Record, at(4000), nil); r.Class != full().Class || r.Behavior.Mapping != full().Behavior.Mapping {
		t.Errorf("read again it is %q", r.Verdict)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is written is what the schema says, and nothing that it does not.
func TestSchema(t *testing.T) {
	schema := compiled(t)
	for name, r := range map[string]Report{
		"full": full(), "empty": New(Record{}, at(0), nil), "home": New(recordOf(home()), at(2000), nil),
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		value.(map[string]any)["surprise"] = true
		if schema.Validate(value) == nil {
			t.Errorf("%s: the schema lets everything through", name)
		}
	}
}

// Every field of Go is in the schema: a new one is not forgotten because no test
// sets it.
func TestSchemaIsComplete(t *testing.T) {
	b, err := os.ReadFile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || !strings.Contains(typ.PkgPath(), "natprobe") {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && !strings.Contains(string(b), `"`+name+`":`) {
				t.Errorf("%v: %q is not in the schema", typ, name)
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Report]())
	if len(seen) < 15 {
		t.Errorf("only %d types were found", len(seen))
	}
}
