package limit

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var all = math.Inf(1)

func TestFill(t *testing.T) {
	type flow struct {
		want float64
		uses []int32
	}
	for _, test := range []struct {
		name   string
		bounds []float64
		flows  []flow
		got    []float64
	}{
		{"alone", []float64{10}, []flow{{all, []int32{0}}}, []float64{10}},
		{"wants little", []float64{10}, []flow{{3, []int32{0}}}, []float64{3}},
		{"alike", []float64{12}, []flow{{all, []int32{0}}, {all, []int32{0}}, {all, []int32{0}}}, []float64{4, 4, 4}},
		{"what one leaves", []float64{12}, []flow{{2, []int32{0}}, {all, []int32{0}}, {all, []int32{0}}}, []float64{2, 5, 5}},
		{
			"a peer's limit within the node's",
			[]float64{12, 3},
			[]flow{{all, []int32{0, 1}}, {all, []int32{0, 1}}, {all, []int32{0}}},
			[]float64{1.5, 1.5, 9},
		},
		{
			"sender and receiver",
			[]float64{4, 10, 6}, // sends 4; sends 10; receives 6
			[]flow{{all, []int32{0, 2}}, {all, []int32{1, 2}}, {all, []int32{1}}},
			[]float64{3, 3, 7},
		},
		{"no bound", nil, []flow{{5, nil}}, []float64{5}},
		{"a bound that nobody uses", []float64{1, 9}, []flow{{all, []int32{1}}}, []float64{9}},
	} {
		var a allocator
		for range 2 { // the second time in memory of the first
			a.reset()
			for _, b := range test.bounds {
				a.bound(b)
			}
			for _, f := range test.flows {
				a.share(f.want, four(f.uses))
			}
			a.fill()
			for i, want := range test.got {
				if got := a.shares[i].got; math.Abs(got-want) > 1e-9 {
					t.Errorf("%s: flow %d has %v, want %v", test.name, i, got, want)
				}
			}
		}
	}
}

func four(uses []int32) (out [maxUses]int32) {
	out = [maxUses]int32{-1, -1, -1, -1}
	copy(out[:], uses)
	return out
}

// Nothing is above its limit, and each flow has what it wants or is among the largest at a limit that is
// used up: which is what max-min fairness is, and there is but one such division (Bertsekas and
// Gallager, Data Networks, 6.5.2).
func TestFillIsMaxMinFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacities := rapid.SliceOfN(rapid.Float64Range(0.1, 1000), 1, 8).Draw(t, "capacities")
		wants := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(0, 500), rapid.Just(all)), 0, 20).Draw(t, "wants")
		var a allocator
		for _, c := range capacities {
			a.bound(c)
		}
		for _, want := range wants {
			uses := rapid.SliceOfNDistinct(rapid.Int32Range(0, int32(len(capacities)-1)), 1, min(maxUses, len(capacities)), rapid.ID[int32]).Draw(t, "uses")
			a.share(want, four(uses))
		}
		a.fill()
		const tiny = 1e-6
		used, largest := make([]float64, len(capacities)), make([]float64, len(capacities))
		for _, s := range a.shares {
			for _, u := range s.uses {
				if u >= 0 {
					used[u] += s.got
					largest[u] = max(largest[u], s.got)
				}
			}
		}
		for i, c := range capacities {
			if used[i] > c+tiny {
				t.Fatalf("limit %d: %v given out of %v", i, used[i], c)
			}
			if math.Abs(a.bounds[i].spare-(c-used[i])) > tiny {
				t.Fatalf("limit %d: spare %v, want %v", i, a.bounds[i].spare, c-used[i])
			}
		}
		for i, s := range a.shares {
			if s.got < 0 || s.got > s.want {
				t.Fatalf("flow %d: %v, wants %v", i, s.got, s.want)
			}
			stopped := slices.ContainsFunc(s.uses[:], func(u int32) bool {
				return u >= 0 && used[u] > capacities[u]-tiny && s.got > largest[u]-tiny
			})
			if s.got < s.want-tiny && !stopped {
				t.Fatalf("flow %d has %v of %v, and nothing stops it", i, s.got, s.want)
			}
		}
	})
}

func BenchmarkFill(b *testing.B) {
	var a allocator
	for b.Loop() {
		a.reset()
		node := a.bound(1e9)
		for range 500 {
			peer := a.bound(4e6)
			a.share(all, [maxUses]int32{node, peer, -1, -1})
			a.share(1e5, [maxUses]int32{node, peer, -1, -1})
		}
		a.fill()
	}
}
