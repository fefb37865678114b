package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pileus/relay/turn"
)

// coturn's own client loses nothing at the pace it sends, to peers and from one relay address to another,
// by Send indications and by channels.
func TestTurnutils(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: coturn's client takes its time; not with -short")
	}
	needs(t, map[string]string{"turnutils_uclient": "coturn", "turnutils_peer": "coturn", "ip": "iproute2"})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	wire := newCable(t)
	cert, key := selfSigned(t)
	wire.serve(ctx, t, fmt.Sprintf("relay: {allow_onlink: [198.51.100.0/24]}\nturn: {users: {alice: wonderland}, secrets: [0123456789abcdef], tls: {cert: %s, key: %s}}\n", cert, key))
	peer := in(ctx, wire.client, "turnutils_peer", "-L", cableClients, "-p", "3480")
	if err := peer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = peer.Wait() })
	name := fmt.Sprintf("%d:carol", time.Now().Add(time.Hour).Unix())
	static := "-u alice -w wonderland"
	rest := "-u " + name + " -w " + turn.Password("0123456789abcdef", name)
	for title, flags := range map[string]string{
		"udp":                 "-y " + static,
		"tcp":                 "-y -t " + static,
		"tls":                 "-y -t -S " + static,
		"udp to a peer":       "-e " + cableClients + " " + static,
		"tcp to a peer":       "-e " + cableClients + " -t " + static,
		"tls to a peer":       "-e " + cableClients + " -t -S " + rest,
		"udp by indications":  "-s -e " + cableClients + " " + rest,
		"udp, large, to each": "-s -y -l 1200 " + static,
		// A pair of ports for each client: EVEN-PORT, and the reserved one.
		"udp with RTCP":           "-y " + static,
		"tcp with RTCP":           "-y -t " + static,
		"udp with RTCP to a peer": "-e " + cableClients + " " + rest,
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			const clients, messages = 4, 50
			words := append([]string{"turnutils_uclient", "-m", fmt.Sprint(clients), "-n", fmt.Sprint(messages)}, strings.Fields(flags)...)
			if !strings.Contains(title, "RTCP") {
				words = append(words, "-c")
			}
			out, err := in(ctx, wire.client, append(words, cableNode)...).CombinedOutput()
			// It takes the number of a channel at random and does not look whether it has it already: one of
			// 16,384 times for each two channels of an allocation.
			if strings.Contains(string(out), "channel bind: error 400 (this channel is bound to another peer)") {
				t.Log("once more: it took one number twice")
				out, err = in(ctx, wire.client, append(words, cableNode)...).CombinedOutput()
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			received := regexp.MustCompile(`tot_recv_msgs=(\d+)`).FindAllSubmatch(out, -1)
			if len(received) == 0 || string(received[len(received)-1][1]) != fmt.Sprint(clients*messages) ||
				!strings.Contains(string(out), "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)") {
				t.Errorf("%s", out)
			}
		})
	}
}
