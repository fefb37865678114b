package bench

import (
	"net/netip"
	"strings"
	"testing"
)

func TestRelayConfigValidate(t *testing.T) {
	for want, c := range map[string]RelayConfig{
		"":                {},
		"pairs 1":         {Pairs: 1},
		"size 10":         {Size: 10},
		"burst 1":         {Burst: 1},
		"rounds 26":       {Rounds: 26},
		"rate 10":         {Rate: 10},
		"no target":       {Targets: []string{"eturnal"}},
		"no command":      {Targets: []string{"x= "}},
		"two targets":     {Targets: []string{"x=a", "x=b"}},
		"give the port":   {Turn: netip.MustParseAddrPort("192.0.2.1:0")},
		"give an IPv4":    {Turn: netip.MustParseAddrPort("[2001:db8::1]:3478")},
		"1,000 to 1,000,": {Rate: 2_000_000},
	} {
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
