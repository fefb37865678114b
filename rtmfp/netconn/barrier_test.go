package netconn

import "testing"

// gate is a receiving flow that can be held.
type gate struct{ held bool }

func (g *gate) SetHold(hold bool) { g.held = hold }

func TestBarrier(t *testing.T) {
	var b barriers[*gate]
	f1, f2, f3 := &gate{}, &gate{}, &gate{}
	held := func(want1, want2, want3 bool) {
		t.Helper()
		if f1.held != want1 || f2.held != want2 || f3.held != want3 {
			t.Errorf("held: %v %v %v", f1.held, f2.held, f3.held)
		}
	}
	if !b.sync(f1, 8, 2) {
		t.Error("first of two")
	}
	held(true, false, false)
	if b.sync(f1, 8, 2) {
		t.Error("twice on one flow")
	}
	if !b.sync(f3, 9, 3) {
		t.Error("another barrier")
	}
	held(true, false, true)
	if !b.sync(f2, 8, 2) {
		t.Error("last of two")
	}
	held(false, false, true)
	if b.sync(f1, 1, 0) {
		t.Error("count 0 MUST NOT be")
	}
	if !b.sync(f1, 1, 1) {
		t.Error("count 1 is pointless but legal")
	}
	held(false, false, true)
}

// Flows whose barrier cannot become complete go on when all others are over.
func TestBarrierGivesUp(t *testing.T) {
	var b barriers[*gate]
	f1, f2, f3 := &gate{}, &gate{}, &gate{}
	b.sync(f1, 1, 3)
	b.sync(f2, 2, 9)
	if b.ended(f3, 2); f1.held || f2.held {
		t.Error("still held, with nobody left to wait for")
	}
	if len(b.open) != 0 || b.held != 0 {
		t.Errorf("left over: %+v", b)
	}
	// A flow that ends while it waits leaves nothing behind.
	b.sync(f1, 1, 3)
	if b.ended(f1, 2); len(b.open) != 0 || b.held != 0 {
		t.Errorf("left over: %+v", b)
	}
}

func TestBarrierLimit(t *testing.T) {
	var b barriers[*gate]
	for i := range uint32(maxBarriers) {
		if !b.sync(&gate{}, i, 2) {
			t.Fatalf("barrier %d", i)
		}
	}
	f := &gate{}
	if b.sync(f, maxBarriers, 2) || f.held {
		t.Error("one more than the limit")
	}
}
