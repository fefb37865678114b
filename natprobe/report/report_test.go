package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/natprobe"
)

func recordOf(obs []natprobe.Observation) Record {
	return Record{Runs: []Run{{Server: nodeMain, Observations: obs}}}
}

func TestReport(t *testing.T) {
	rec := recordOf(mapped([]uint16{50000, 50004}, []uint16{50001, 50005}))
	rec.Runs[0].Notes = []string{"a remark"}
	r := New(rec, at(2000), nil)
	var out bytes.Buffer
	if err := r.WriteText(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	want := `symmetric NAT, a port for each destination, ports that step by +1
  address     192.168.1.2:40000 seen as 198.51.100.1:40000 by 192.0.2.1:1935: a NAT
  mapping     APDM, a public port for each destination (0 of 4 tries show the same address)
  filtering   APDF, packets pass from addresses and ports written to (0 of 14 probes from elsewhere passed)
  ports       stepping by +1, others in between take up to 2 (4 mappings)
  hairpin     unknown (0 of 0)
  advice      Peers are met by predicting ports, which other traffic can upset. A port forwarding on the router makes it certain.
  note        a remark
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestVerdicts(t *testing.T) {
	asked := natprobe.Observation{Kind: natprobe.KindControlMapping, Node: nodeMain, At: at(1020), Since: at(0), Tries: 7}
	for name, test := range map[string]struct {
		obs    []natprobe.Observation
		direct natprobe.Answer
		says   string
	}{
		"home":      {home(), natprobe.Yes, "home router, endpoint-independent mapping, port-restricted"},
		"symmetric": {mapped([]uint16{61000, 1234, 30000}, []uint16{9999, 45678, 22222}), natprobe.No, "symmetric NAT, a port for each destination, ports that cannot be predicted"},
		"no rule":   {mapped([]uint16{61000}, []uint16{9999}), natprobe.Unknown, "symmetric NAT, a port for each destination, filtering APDF"},
		"no answer": {[]natprobe.Observation{asked}, natprobe.No, "no UDP: 192.0.2.1:1935 did not answer any of 7 requests"},
		"nothing":   {nil, natprobe.Unknown, "nothing is known: "},
		"one IP":    {mapped([]uint16{40000, 40000}, nil), natprobe.Unknown, "NAT, mapping EIM or ADM, filtering APDF"},
	} {
		r := New(recordOf(test.obs), at(2000), nil)
		if r.Direct != test.direct || !strings.HasPrefix(r.Verdict, test.says) {
			t.Errorf("%s: %v %q", name, r.Direct, r.Verdict)
		}
		if name == "nothing" != r.End().IsZero() || r.End().Sub(at(0)) > 2*time.Second {
			t.Errorf("%s: ends %v", name, r.End())
		}
	}
}
