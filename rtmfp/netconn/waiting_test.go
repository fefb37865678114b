package netconn

import (
	"testing"
	"time"
)

// A connection that is accepted or over waits for nothing, and is kept for nothing: who
// opens sessions and ends them has only those in memory that last.
func TestConnectionsThatAreOverAreNotKept(t *testing.T) {
	var w timeouts
	now := time.Unix(1_700_000_000, 0)
	var kept []*Conn
	for i := range 10_000 {
		c := &Conn{}
		w.add(c, now.Add(time.Duration(i)*time.Millisecond))
		if i%100 == 0 {
			kept = append(kept, c)
			continue
		}
		w.remove(c)
		w.remove(c)
	}
	n := 0
	for _, c := range w.conns {
		if c != nil {
			n++
		}
	}
	if n != len(kept) {
		t.Errorf("%d connections are kept, %d of them wait", n, len(kept))
	}
	if at := w.next(); !at.Equal(now) {
		t.Errorf("the next is due at %v", at)
	}
	w.remove(kept[0])
	if at := w.next(); !at.Equal(now.Add(100 * time.Millisecond)) {
		t.Errorf("then it is due at %v", at)
	}
	var due []*Conn
	for c := range w.due(now.Add(time.Second)) {
		due = append(due, c)
	}
	if len(due) != 10 || due[0] != kept[1] || due[9] != kept[10] {
		t.Errorf("%d were due", len(due))
	}
	w.remove(kept[1])
	for _, c := range kept {
		w.remove(c)
	}
	if at := w.next(); !at.IsZero() || w.conns != nil {
		t.Errorf("something is due at %v, %d places are left", at, len(w.conns))
	}
}
