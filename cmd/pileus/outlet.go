package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxPending (bytes) bounds what waits to be written: some 5,000 lines.
	maxPending = 1 << 20
	// outletGrace is how long the end waits for what is to be written yet.
	outletGrace = 2 * time.Second
)

// An outlet is a writer that never waits: a goroutine of its own writes, and what does
// not fit between the two is lost and counted. The engine logs, and a pipe that nobody
// reads must not stop it.
type outlet struct {
	w    io.Writer
	wake chan struct{}
	done chan struct{}

	mu           sync.Mutex // of what follows
	pending      []byte     // whole lines
	lines        uint64     // in pending
	missing      uint64     // lost since the last line that was kept
	told         uint64     // lost, as pending says
	broken       bool       // w took nothing the last time
	full, failed uint64     // lines lost: no room, or not taken by w
	closed       bool
	describe     func(missing uint64) []byte
}

func newOutlet(w io.Writer) *outlet {
	o := &outlet{
		w: w, wake: make(chan struct{}, 1), done: make(chan struct{}),
		describe: func(n uint64) []byte {
			return fmt.Appendf(nil, "pileus: %d lines are missing here: they found no reader in time, or no room\n", n)
		},
	}
	go o.run()
	return o
}

// describeBy has f make the line that says how many are missing. f must not write to o.
func (o *outlet) describeBy(f func(missing uint64) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.describe = f
}

// Write takes whole lines. It never fails.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := countLines(p)
	if len(o.pending)+len(p) > maxPending || o.closed {
		o.missing += lines
		o.full += lines
		return len(p), nil
	}
	o.tellMissing()
	o.pending = append(o.pending, p...)
	o.lines += lines
	o.poke()
	return len(p), nil
}

// tellMissing puts a line where others are missing.
func (o *outlet) tellMissing() {
	if o.missing > 0 {
		o.pending = append(o.pending, o.describe(o.missing)...)
		o.told += o.missing
		o.missing = 0
	}
}

func (o *outlet) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outlet) run() {
	defer close(o.done)
	var spare []byte // the two take turns
	for range o.wake {
		for {
			o.mu.Lock()
			if !o.broken { // else with the next line
				o.tellMissing()
			}
			if len(o.pending) == 0 {
				closed := o.closed
				o.mu.Unlock()
				if closed {
					return
				}
				break
			}
			text, lines, told := o.pending, o.lines, o.told
			o.pending, o.lines, o.told = spare[:0], 0, 0
			o.mu.Unlock()
			_, err := o.w.Write(text)
			o.mu.Lock()
			if o.broken = err != nil; o.broken {
				o.failed += lines
				o.missing += lines + told
			}
			o.mu.Unlock()
			spare = text
		}
	}
}

// close writes what is left, or gives up after a while.
func (o *outlet) close(patience time.Duration) {
	o.mu.Lock()
	o.closed = true
	o.poke()
	o.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-o.done:
	case <-timer.C:
	}
}

// lost counts lines that are missing: there was no room for them, or the writer did not
// take them.
func (o *outlet) lost() (full, failed uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.full, o.failed
}

func countLines(p []byte) (n uint64) {
	for _, b := range p {
		if b == '\n' {
			n++
		}
	}
	return n
}
