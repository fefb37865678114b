package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progressEvery is how often people hear of a test that goes on.
const progressEvery = time.Second

// progress tells on stderr what is being done, on a terminal alone, in one line that is
// gone at the end: a pipe or a file would keep them all.
type progress struct {
	out      io.Writer
	terminal bool
	began    time.Time
	done     chan struct{}
	wait     sync.WaitGroup

	mu    sync.Mutex // of what is written, too
	phase string
}

func startProgress(out io.Writer) *progress {
	p := &progress{out: out, terminal: isTerminal(out), began: time.Now(), done: make(chan struct{})}
	p.wait.Go(p.run)
	return p
}

// set says what is done from now on.
func (p *progress) set(phase string) {
	p.mu.Lock()
	p.phase = phase
	p.mu.Unlock()
}

// say writes something that stays.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		text = "\r\x1b[K" + text
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) stop() {
	close(p.done)
	p.wait.Wait()
}

func (p *progress) run() {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.tick()
		case <-p.done:
			if p.terminal {
				fmt.Fprint(p.out, "\r\x1b[K")
			}
			return
		}
	}
}

func (p *progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%d s: %s", int(time.Since(p.began).Seconds()), p.phase)
	}
}

// terminal is what says by itself whether it is one.
type terminal interface{ IsTerminal() bool }

func isTerminal(w io.Writer) bool {
	if t, ok := w.(terminal); ok {
		return t.IsTerminal()
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// colorOn follows no-color.org.
func colorOn(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
