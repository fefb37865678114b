package flash

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestReplayWindow compares the window with a set: no number twice, none that is
// within the window refused the first time.
func TestReplayWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w replayWindow
		seen := make(map[uint64]bool)
		highest := uint64(0)
		base := rapid.SampledFrom([]uint64{0, 1, 1 << 32, math.MaxUint64 - 500}).Draw(t, "base")
		for range rapid.IntRange(1, 200).Draw(t, "packets") {
			seq := base + rapid.Uint64Range(0, 300).Draw(t, "seq")
			inWindow := len(seen) == 0 || seq > highest || highest-seq < replayWindowSize
			before := w
			got := w.accept(seq)
			if want := !seen[seq] && inWindow; got != want {
				t.Fatalf("accept(%d) = %v after highest %d, want %v", seq, got, highest, want)
			}
			if !got {
				if w != before {
					t.Fatalf("refusing %d changed the window", seq)
				}
				continue
			}
			seen[seq] = true
			highest = max(highest, seq)
		}
	})
}

func TestReplayWindowEdges(t *testing.T) {
	var w replayWindow
	for _, step := range []struct {
		seq  uint64
		want bool
	}{
		{0, true},
		{0, false},
		{replayWindowSize, true},
		{0, false}, // fell out
		{1, true},  // the oldest inside
		{1, false},
		{math.MaxUint64, false}, // saturated numbers have no order
		{math.MaxUint64 - 1, true},
		{math.MaxUint64 - 1, false},
		{replayWindowSize + 1, false},
	} {
		if got := w.accept(step.seq); got != step.want {
			t.Errorf("accept(%d) = %v, want %v", step.seq, got, step.want)
		}
	}
}
