package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/configs"
)

// gate is a writer that takes nothing while it is shut.
type gate struct {
	mu   sync.Mutex
	shut *sync.Cond
	open bool
	fail error
	text bytes.Buffer
}

func newGate() *gate {
	g := new(gate)
	g.shut = sync.NewCond(&g.mu)
	return g
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.open {
		g.shut.Wait()
	}
	if g.fail != nil {
		return 0, g.fail
	}
	return g.text.Write(p)
}

func (g *gate) set(open bool, fail error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open, g.fail = open, fail
	g.shut.Broadcast()
}

func (g *gate) got() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// Whoever logs never waits for whoever reads: what does not fit is lost and counted, and said where it is missing.
func TestOutletNeverWaits(t *testing.T) {
	for _, format := range []configs.LogFormat{configs.FormatText, configs.FormatJSON} {
		g := newGate()
		o := newOutlet(g)
		log, _ := newLogger(o, configs.Log{Format: format, Addresses: configs.AddressesFull})
		const lines = 20_000 // of some 130 bytes
		for i := range lines {
			log.Info("event", "n", i, "filler", strings.Repeat("x", 80))
		}
		lost, failed := o.lost()
		if lost == 0 || lost > lines*3/4 || failed != 0 {
			t.Errorf("%d lines were lost and %d not taken, of %d", lost, failed, lines)
		}
		g.set(true, nil)
		log.Info("afterwards") // found room or not: the queue drains meanwhile
		o.close(10 * time.Second)
		got := g.got()
		lost, _ = o.lost()
		if want := fmt.Sprint(lost); !strings.Contains(got, "lines are missing") || !strings.Contains(got, want) {
			t.Errorf("it is not said that %s lines are missing:\n%s", want, got[max(0, len(got)-500):])
		}
		if n := strings.Count(got, "\n"); uint64(n) < lines-lost {
			t.Errorf("%d lines came, %d were lost of %d", n, lost, lines)
		}
	}
}

// What is written while something is being written does not get into its way.
func TestOutletKeepsLinesApart(t *testing.T) {
	r, w := io.Pipe()
	o := newOutlet(w)
	var want strings.Builder
	lines := bufio.NewReader(r)
	var got strings.Builder
	for i := range 2000 {
		line := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", i%50))
		want.WriteString(line)
		_, _ = io.WriteString(o, line)
		if i%3 == 0 { // the reader is behind, at times by more and at times by less
			text, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString(text)
		}
	}
	go func() {
		o.close(10 * time.Second)
		w.Close()
	}()
	if _, err := io.Copy(&got, lines); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Error("lines are torn or missing")
	}
}

// A reader that has gone costs its lines and no more.
func TestOutletGoesOnAfterErrors(t *testing.T) {
	g := newGate()
	g.set(true, errors.New("broken pipe"))
	o := newOutlet(g)
	fmt.Fprintln(o, "to nobody")
	for range 500 {
		if _, failed := o.lost(); failed > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintln(o, "to nobody either")
	for range 500 {
		if _, failed := o.lost(); failed > 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.set(true, nil)
	fmt.Fprintln(o, "to somebody")
	o.close(10 * time.Second)
	if _, failed := o.lost(); failed != 2 || g.got() != "pileus: 2 lines are missing here: they found no reader in time, or no room\nto somebody\n" {
		t.Errorf("%d failed, got %q", failed, g.got())
	}
}

// The end waits for what is to be written, but not for ever.
func TestOutletEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := newOutlet(writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil }))
		fmt.Fprintln(o, "stuck")
		began := time.Now()
		o.close(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		fmt.Fprintln(o, "too late") // harmless
		close(release)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
