package prober_test

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pileus/natprobe/lab"
)

// A client of RFC 3489 that shares no code with this one (Debian's stun-client) comes to
// what it can come to.
func TestKernelClassicClient(t *testing.T) {
	if _, err := exec.LookPath("stun"); err != nil {
		t.Skipf("A CLIENT OF RFC 3489 IS NOT TESTED: %v", err)
	}
	wants := map[string]string{
		"N0": "Open", "N1": "Firewall", "N2": "Independent Mapping, Independent Filter",
		"N3": "Independent Mapping, Address Dependent Filter", "N4": "Independent Mapping, Port Dependent Filter", "N5": "Dependent Mapping",
	}
	kinds := make([]string, 0, len(wants))
	for kind := range wants {
		kinds = append(kinds, kind)
	}
	n := kernelSites(t, kinds...)
	serveHelp(t, n.Node())
	for kind, want := range wants {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			host := n.Hosts(kind)[0]
			said := tool(t, host, 20*time.Second, "stun", netip.AddrPortFrom(lab.FirstNodeAddress, 3478).String(), "-i", host.Addrs[0].String())
			if !strings.Contains(said, "Primary: "+want) {
				t.Errorf("%q, want %s", said, want)
			}
		})
	}
}
