package peer

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Report says where a run tells how it goes.
type Report struct {
	Text     io.Writer // for people; nil for nowhere
	Events   io.Writer // for programs, a JSON object a line; nil for nowhere
	Progress bool      // tell every second
	Terminal bool      // Text is one: progress stays on one line
	Program  string    // how to call this program, in advice; "" for pileus
}

// reporter writes on a goroutine of its own: a reader that is stuck must not
// stop the protocol.
type reporter struct {
	Report
	json *slog.Logger

	mu    sync.Mutex
	queue []piece
	lost  int

	wake, ended, done chan struct{}
	status            string // the line of progress on the terminal
}

type piece struct {
	to     io.Writer
	text   string
	status bool
}

// terminalWidth is what any terminal has, in columns.
const terminalWidth = 80

// maxPieces bounds what waits for a stuck reader, in lines.
const maxPieces = 4096

func newReporter(r Report) *reporter {
	if r.Program == "" {
		r.Program = "pileus"
	}
	w := &reporter{Report: r, wake: make(chan struct{}, 1), ended: make(chan struct{}), done: make(chan struct{})}
	if r.Events != nil {
		w.json = slog.New(slog.NewJSONHandler((*eventWriter)(w), &slog.HandlerOptions{ReplaceAttr: eventKeys}))
	}
	go w.run()
	return w
}

// eventKeys makes an event of slog's record.
func eventKeys(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		return slog.Attr{}
	case slog.MessageKey:
		a.Key = "event"
	}
	if d, ok := a.Value.Any().(time.Duration); ok {
		return slog.Float64(a.Key, float64(d.Microseconds())/1000) // milliseconds
	}
	return a
}

// eventWriter is a reporter as slog writes to it: a line each time.
type eventWriter reporter

func (w *eventWriter) Write(line []byte) (int, error) {
	(*reporter)(w).put(piece{to: w.Events, text: string(line)})
	return len(line), nil
}

// event tells something: text, unless empty, to people, the rest to programs.
// Values that are durations become milliseconds.
func (w *reporter) event(name, text string, args ...any) {
	if text != "" && w.Text != nil {
		w.put(piece{to: w.Text, text: text + "\n"})
	}
	if w.json != nil {
		w.json.Info(name, args...)
	}
}

// progress shows text until the next.
func (w *reporter) progress(text string, args ...any) {
	if w.Text != nil {
		if w.Terminal {
			// A longer line would wrap, and stay.
			w.put(piece{to: w.Text, text: text[:min(len(text), terminalWidth-1)], status: true})
		} else {
			w.put(piece{to: w.Text, text: text + "\n"})
		}
	}
	if w.json != nil {
		w.json.Info("progress", args...)
	}
}

func (w *reporter) put(p piece) {
	w.mu.Lock()
	if len(w.queue) < maxPieces {
		w.queue = append(w.queue, p)
	} else {
		w.lost++
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close writes what waits, unless hurry ends first.
func (w *reporter) close(hurry <-chan struct{}) {
	close(w.ended)
	select {
	case <-w.done:
	case <-hurry:
	}
}

func (w *reporter) run() {
	defer close(w.done)
	for {
		select {
		case <-w.wake:
			w.drain()
		case <-w.ended:
			w.drain()
			if w.status != "" {
				w.write(w.Text, w.erase())
			}
			return
		}
	}
}

func (w *reporter) drain() {
	w.mu.Lock()
	queue, lost := w.queue, w.lost
	w.queue, w.lost = nil, 0
	w.mu.Unlock()
	for _, p := range queue {
		switch {
		case p.status:
			// Overwritten from the left, so that nothing flickers.
			w.write(p.to, "\r"+p.text+strings.Repeat(" ", max(0, len(w.status)-len(p.text))))
			w.status = p.text
		case w.status != "" && p.to == w.Text:
			w.write(p.to, w.erase()+p.text+w.status)
		default:
			w.write(p.to, p.text)
		}
	}
	if lost > 0 && w.Text != nil {
		w.write(w.Text, fmt.Sprintf("(%d lines left out: nobody read them)\n", lost))
	}
}

// erase takes the line of progress off the terminal.
func (w *reporter) erase() string { return "\r" + strings.Repeat(" ", len(w.status)) + "\r" }

func (w *reporter) write(to io.Writer, text string) { _, _ = io.WriteString(to, text) }

// clean makes the words of a far end fit to be shown: on one line, of bounded
// length, without control characters that a terminal would obey.
func clean(s string) string {
	const most = 500
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
