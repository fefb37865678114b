package matrix_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pileus/cmd/natprobe/matrix"
	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

const deafVariable = "MATRIX_TEST_DEAF"

// The test program is the peer, too.
func TestMain(m *testing.M) {
	if uri := os.Getenv(matrix.ServerVariable); uri != "" {
		c := matrix.PeerConfig{Server: uri, Deaf: os.Getenv(deafVariable) != ""}
		if err := matrix.RunPeer(context.Background(), c, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// needLab skips where networks cannot be made, or fails if they must be.
func needLab(t *testing.T) {
	t.Helper()
	err := kernel.Available()
	switch {
	case err == nil:
	case os.Getenv("KERNEL_LAB") == "required":
		t.Fatalf("the kernel lab cannot be tested: %v", err)
	default:
		t.Skipf("THE KERNEL LAB IS NOT TESTED: %v", err)
	}
}

func kinds(t *testing.T, names ...string) []lab.Kind {
	t.Helper()
	var all []lab.Kind
	for _, name := range names {
		k, ok := lab.KindNamed(name)
		if !ok {
			t.Fatalf("there is no kind %s", name)
		}
		all = append(all, k)
	}
	return all
}

func buildNode(t *testing.T) string {
	t.Helper()
	pileus := filepath.Join(t.TempDir(), "pileus")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", pileus, "pileus/cmd/pileus").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return pileus
}

func config(t *testing.T) matrix.Config {
	return matrix.Config{
		Delay: 10 * time.Millisecond, Patience: 2 * time.Second, Progress: t.Output(),
		Peer: "exec " + os.Args[0],
	}
}

// Twelve ordered pairs over real NATs, and two hosts of one site: the node
// classifies them all and says how they are to meet.
func TestKernelPairs(t *testing.T) {
	needLab(t)
	t.Parallel()
	c := config(t)
	c.Initiators, c.Targets = kinds(t, "N0", "N4", "N6"), kinds(t, "N3", "N4", "N6", "N11")
	c.Neighbours = kinds(t, "N9")
	c.Pileus, c.Settle, c.Parallel = buildNode(t), 10*time.Second, 6
	report, err := matrix.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cells) != 14 {
		t.Fatalf("%d cells", len(report.Cells))
	}
	classes := map[string]natprobe.Class{
		"N0": natprobe.Public, "N3": natprobe.AddressRestricted, "N4": natprobe.PortRestricted,
		"N6": natprobe.SymmetricStepping, "N9": natprobe.PortRestricted, "N11": natprobe.Blocked,
	}
	for i := range report.Cells {
		cell := &report.Cells[i]
		got := cell.Tries[0]
		want, how := matrix.Direct, strategy.Punch
		switch {
		case cell.Target == "N11":
			want, how = matrix.Relay, strategy.Relay
		case strings.HasPrefix(cell.Initiator, "N9"):
			want, how = matrix.Local, strategy.Lan
		case cell.Initiator == "N0":
			how = strategy.Public
		case cell.Target != "N3" && (cell.Initiator == "N6" || cell.Target == "N6"):
			how = strategy.Predict
		}
		if got.Path != want {
			t.Errorf("%s to %s: %q, want %q: %+v", cell.Initiator, cell.Target, got.Path, want, got)
		}
		if got.Strategy != how.String() {
			t.Errorf("%s to %s: by %s, want %v", cell.Initiator, cell.Target, got.Strategy, how)
		}
		for i, label := range []string{cell.Initiator, cell.Target} {
			name, _, _ := strings.Cut(label, "/")
			if want := classes[name].String(); got.Classes[i] != want {
				t.Errorf("%s to %s: %s is called %q, want %q", cell.Initiator, cell.Target, label, got.Classes[i], want)
			}
		}
		// Symmetric initiators need half a round trip more; the rest is room for
		// a busy machine.
		if got.Connected && got.Path != matrix.Relay && got.Millis > 400 {
			t.Errorf("%s to %s took %.0f ms", cell.Initiator, cell.Target, got.Millis)
		}
	}
	var table bytes.Buffer
	report.WriteTable(&table)
	t.Log("\n" + table.String())
}

// With a relay everybody meets, if the node has two addresses; with one, nobody
// calls who reaches only the port where it is connected.
func TestKernelRelay(t *testing.T) {
	needLab(t)
	t.Parallel()
	pileus := buildNode(t)
	for _, addresses := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d addresses", addresses), func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Initiators = kinds(t, "N4", "N5", "N11")
			c.Targets = c.Initiators
			c.Neighbours = kinds(t, "N9s")
			c.Pileus, c.Settle, c.Parallel, c.Addresses = pileus, 10*time.Second, 6, addresses
			report, err := matrix.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range report.Cells {
				cell := &report.Cells[i]
				got, want := cell.Tries[0], matrix.Relay
				switch {
				case cell.Initiator == "N4" && cell.Target == "N4":
					want = matrix.Direct
				case cell.Target == "N11" && addresses == 1:
					want = ""
				}
				if got.Path != want {
					t.Errorf("%s to %s: %q, want %q: %+v", cell.Initiator, cell.Target, got.Path, want, got)
				}
				if got.Connected && got.Millis > 600 { // 168 on an idle machine
					t.Errorf("%s to %s took %.0f ms", cell.Initiator, cell.Target, got.Millis)
				}
			}
		})
	}
}

// Who calls in the breath in which it connects, crosses, or stands still meanwhile,
// meets as well.
func TestKernelHurry(t *testing.T) {
	needLab(t)
	t.Parallel()
	pileus := buildNode(t)
	for _, test := range []struct {
		name   string
		change func(*matrix.Config)
		kinds  []string
	}{
		{"at once", func(*matrix.Config) {}, []string{"N4", "N5", "N7", "N11"}},
		{"one is there", func(c *matrix.Config) { c.Age = time.Second }, []string{"N4", "N7"}},
		{"crossing", func(c *matrix.Config) { c.Cross = true }, []string{"N4", "N5"}},
		{"stalled", func(c *matrix.Config) {
			c.Stall = [2]time.Duration{200 * time.Millisecond, 900 * time.Millisecond}
			c.Tries = 2
		}, []string{"N4", "N5"}},
		{"stalled, both known", func(c *matrix.Config) {
			c.Stall = [2]time.Duration{200 * time.Millisecond, 600 * time.Millisecond}
			c.Settle = 20 * time.Second
		}, []string{"N4", "N5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Initiators = kinds(t, test.kinds...)
			c.Targets, c.Pileus, c.Parallel = c.Initiators, pileus, 4
			test.change(&c)
			report, err := matrix.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range report.Cells {
				cell := &report.Cells[i]
				for _, try := range cell.Tries {
					direct := cell.Initiator == cell.Target && (cell.Initiator == "N4" || cell.Initiator == "N7")
					// One that stands still before the node knows its NAT is relayed rightly.
					either := direct && test.name == "stalled"
					if !try.Connected || (try.Path == matrix.Relay) == direct && !either {
						t.Errorf("%s to %s: %+v", cell.Initiator, cell.Target, try)
					}
					if (try.Stalled != "") != strings.HasPrefix(test.name, "stalled") {
						t.Errorf("stalled %q", try.Stalled)
					}
				}
			}
		})
	}
}

// One node address tells less, and a client that answers no introductions is
// called that.
func TestKernelClassify(t *testing.T) {
	needLab(t)
	t.Parallel()
	pileus := buildNode(t)
	for _, test := range []struct {
		name      string
		kinds     []string
		addresses int
		deaf      bool
		want      natprobe.Class
	}{
		{"one address", []string{"N3", "N4"}, 1, false, natprobe.ClassUnknown},
		{"deaf", []string{"N0", "N4"}, 2, true, natprobe.Silent},
		{"blocked", []string{"N11", "N11s"}, 2, false, natprobe.Blocked},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := matrix.ClassifyConfig{
				Kinds: kinds(t, test.kinds...), Tries: 1, Copies: 1, Addresses: test.addresses, Deaf: test.deaf,
				Delay: 10 * time.Millisecond, Settle: 15 * time.Second, Pileus: pileus, Peer: "exec " + os.Args[0], Progress: t.Output(),
			}
			if test.deaf {
				c.Peer = deafVariable + "=1 " + os.Args[0]
			}
			report, err := matrix.Classify(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range report.Sites {
				if s.Counts[test.want.String()] != 1 {
					t.Errorf("%s: %v, want %v", s.Site, s.Counts, test.want)
				}
			}
			if n := report.Wrong(); n > 0 {
				t.Errorf("%d wrong", n)
			}
		})
	}
}

// A peer program that does not keep the contract must not look connected.
func TestOtherPeers(t *testing.T) {
	needLab(t)
	t.Parallel()
	pileus := buildNode(t)
	const id = "PEERID 0000000000000000000000000000000000000000000000000000000000000000"
	for _, test := range []struct{ peer, path, reason string }{
		{"echo " + id + "; echo READY; read c; echo some words; echo CONNECTED far=192.0.2.1:1935 ms=7; cat >/dev/null", "relay", ""},
		{"echo " + id + "; echo READY; read c; echo FAIL reason=no way; cat >/dev/null", "", "no way"},
		{"echo " + id + "; echo READY; read c; echo CONNECTED far=nowhere ms=7", "", "the peer program says CONNECTED far=nowhere"},
		{"echo " + id + "; echo READY; cat >/dev/null", "", "no CONNECTED in"},
		{"exit 1", "", "initiator: the peer program ended without PEERID"},
	} {
		t.Run(test.peer, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			c.Initiators, c.Targets, c.Pileus, c.Peer, c.Patience = kinds(t, "N0"), kinds(t, "N0"), pileus, test.peer, 300*time.Millisecond
			report, err := matrix.Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			got := report.Cells[0].Tries[0]
			if string(got.Path) != test.path || !strings.HasPrefix(got.Reason, test.reason) || got.Connected != (test.path != "") {
				t.Errorf("gave %+v", got)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	needLab(t)
	c := config(t)
	c.Initiators, c.Targets, c.Pileus = kinds(t, "N0"), kinds(t, "N0"), "false"
	if _, err := matrix.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "does not serve") {
		t.Errorf("with a node that does not run: %v", err)
	}
	directory := t.TempDir()
	mute, reached := filepath.Join(directory, "mute"), filepath.Join(directory, "reached")
	if err := os.WriteFile(mute, []byte("#!/bin/sh\n: >"+reached+"\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Patience = time.Minute
	for _, test := range []struct{ when, pileus, peer string }{
		{"while the node starts", mute, "exit 1"},
		{"during a try", buildNode(t), "echo PEERID 0; echo READY; read c; : >" + reached + "; cat >/dev/null"},
	} {
		c.Pileus, c.Peer = test.pileus, test.peer
		ctx, cancel := context.WithCancel(t.Context())
		var begun time.Time
		var interrupting sync.WaitGroup
		interrupting.Go(func() {
			for ctx.Err() == nil {
				if _, err := os.Stat(reached); err == nil {
					begun = time.Now()
					cancel()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		_, err := matrix.Run(ctx, c)
		cancel()
		interrupting.Wait()
		switch {
		case begun.IsZero():
			t.Errorf("%s: it ended before that: %v", test.when, err)
		case !errors.Is(err, matrix.ErrInterrupted) && !errors.Is(err, context.Canceled):
			t.Errorf("interrupted %s: %v", test.when, err)
		case time.Since(begun) > c.Patience/2:
			t.Errorf("interrupted %s: it took %v to end", test.when, time.Since(begun))
		}
		if err := os.Remove(reached); err != nil {
			t.Error(err)
		}
	}
	left, err := filepath.Glob(fmt.Sprintf("/run/netns/%s%d.*", kernel.Prefix, os.Getpid()))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", slices.Sorted(slices.Values(left)), err)
	}
}
