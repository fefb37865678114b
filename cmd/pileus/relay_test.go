package main

import (
	"fmt"
	"strings"
	"testing"
)

// The relay's ports are told, counted, and left out on demand.
func TestServeRelay(t *testing.T) {
	first := freeRow(t, 2)
	ports := [2]int{first, first + 1}
	n := serving(t, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--relay-ports", fmt.Sprintf("%d-%d", ports[0], ports[1]))
	n.find(fmt.Sprintf(`relay        (%d-%d/udp)\n`, ports[0], ports[1]))
	n.find(fmt.Sprintf(`(%d-%d)`, ports[0], ports[1])) // firewall
	at := n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	_, body := fetch(t, at+"/metrics", "")
	for _, want := range []string{
		`pileus_relay_ports{state="free"} 2`, `pileus_relay_drops_total{reason="stranger"} 0`, `pileus_splices 0`,
		`pileus_splices_refused_total{reason="quota"} 0`, `pileus_sockets{for="relay",state="open"} 2`, `pileus_relay_bytes_total{kind="splice"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(body, fmt.Sprintf("127.0.0.1:%d", ports[0])) {
		t.Error("a thousand ports would be a thousand series")
	}
	n.end()
	none := serving(t, "--listen", "127.0.0.1:0", "--admin", "", "--relay-ports", "")
	none.find(`relay        (none)\n`)
}
