package main

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pileus/natprobe/relayed"
)

const relaySchema = "../../natprobe/relayed/relay.schema.json"

// Two clients of one host meet by the node's relay, though they could otherwise.
func TestRelayThroughSplice(t *testing.T) {
	t.Parallel()
	node := startHere(t)
	code, out, errs := call(t, "relay", "--splice", node.String(), "--time", "500ms", "--rate", "2mbit", "--json")
	if code != exitDirect {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	conforms(t, relaySchema, out)
	r := decode[relayed.Result](t, out)
	if r.Relayed == node || r.Relayed.Addr() != node.Addr() || r.Over != relayed.Splice || r.Asked != 2e6 || r.Seconds != 0.5 || len(r.Notes) > 0 {
		t.Errorf("%+v", r)
	}
	for _, w := range []relayed.Way{r.ToRelay, r.Back} {
		if w.Sent != 125 || w.Received < 100 || w.Rate < 1e6 || w.Rate > 2.1e6 {
			t.Errorf("%+v", w)
		}
	}

	var text said
	var progress screen
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"relay", "--splice", node.String(), "--time", "1m"}, &text, &progress)
	}()
	progress.after(t, "sending both")
	time.Sleep(time.Second) // something is sent
	cancel()
	select {
	case code := <-ended:
		if code != exitUnsure || !strings.HasPrefix(text.String(), "relay 127.0.0.1:") || !strings.Contains(progress.String(), "interrupted") {
			t.Errorf("exit %d: %s%s", code, &text, &progress)
		}
	case <-time.After(10 * time.Second):
		t.Error("it does not end")
	}
}

func TestRelayRefuses(t *testing.T) {
	for args, says := range map[string]string{
		"":                                                  "name a relay",
		"--turn nothing":                                    "--turn",
		"--splice 127.0.0.1 --rate 21mbit":                  "at most 20mbit",
		"--splice 127.0.0.1 --time 61s":                     "at most",
		"--splice 127.0.0.1 --rate 0":                       "above 0",
		"--splice 127.0.0.1:0":                              "--splice",
		"--splice 127.0.0.1 more":                           `"more"`,
		"turn:alice:secret@127.0.0.1":                       "behind --turn",
		"TURNS:alice:secret@127.0.0.1":                      "behind --turn",
		"--turn turn:a:b@x --rate soon":                     "--rate",
		"--turn turn:a:b@127.0.0.1 --rate 50mbit --time 1m": "375 million bytes",
	} {
		code, out, errs := call(t, append([]string{"relay"}, strings.Fields(args)...)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, says) || strings.Contains(errs, "secret") {
			t.Errorf("%s: exit %d: %s%s", args, code, out, errs)
		}
	}
	if code, _, errs := call(t, "relay", "--splice", "nosuchhost.invalid"); code != exitUnsure || !strings.Contains(errs, "not found") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestRelayText(t *testing.T) {
	r := relayed.Result{
		Schema: relayed.Schema, Server: "192.0.2.1:3478", Over: "tls", Relayed: netip.MustParseAddrPort("192.0.2.1:50000"), Asked: 1e6, Seconds: 3, RTT: 87,
		ToRelay: relayed.Way{Sent: 375, Received: 372, Loss: 0.008, Rate: 992_000, Delay: 43.6, Jitter: 1.26, OutOfOrder: 2}, Back: relayed.Way{Sent: 375, Received: 375, Rate: 1e6, Delay: 43.4},
	}
	const turn = `relay 192.0.2.1:50000 at 192.0.2.1:3478 over tls: 87 ms there and back
  to relay     992 kbit/s of 1000, 3 of 375 packets lost (0.8 %), 43.6 ms, jitter 1.3 ms, 2 out of order
  back        1000 kbit/s of 1000, 0 of 375 packets lost (0.0 %), 43.4 ms, jitter 0.0 ms, 0 out of order
`
	if got := relayText(r); got != turn {
		t.Errorf("%s\nwant\n%s", got, turn)
	}
	r.Over, r.LoadedRTT, r.ToRelay.PacketLoss, r.Notes = relayed.Splice, 91.4, 0.012, []string{"a remark"}
	const splice = `relay 192.0.2.1:50000 at 192.0.2.1:3478 over splice: 87 ms there and back, 91 under load
  there        992 kbit/s of 1000, 1.2 % of the packets lost (3 of 375 messages for good), jitter 1.3 ms
  back        1000 kbit/s of 1000, 0.0 % of the packets lost (0 of 375 messages for good), jitter 0.0 ms
  note      a remark
`
	if got := relayText(r); got != splice {
		t.Errorf("%s\nwant\n%s", got, splice)
	}
	var b bytes.Buffer
	if err := writeJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	conforms(t, relaySchema, b.String())
}
