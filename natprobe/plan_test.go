package natprobe

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func only1935(dst netip.AddrPort) bool { return dst.Port() != 1935 }

// kinds are NATS.md's, as far as one client tells them apart, and more.
var kinds = []struct {
	name     string
	m        model
	one, two Class // with one and two node addresses
}{
	{"N0", model{public: true, filtering: EIF}, ClassUnknown, Public},
	{"N1", model{public: true, filtering: APDF}, Firewall, Firewall},
	{"N1-ADF", model{public: true, filtering: ADF}, ClassUnknown, Firewall},
	{"N2", model{mapping: EIM, filtering: EIF, alloc: Random}, ClassUnknown, FullCone},
	{"N3", model{mapping: EIM, filtering: ADF, alloc: Random}, ClassUnknown, AddressRestricted},
	{"N4", model{mapping: EIM, filtering: APDF, alloc: Preserved}, ClassUnknown, PortRestricted},
	{"N5", model{mapping: APDM, filtering: APDF, alloc: Random}, SymmetricRandom, SymmetricRandom},
	{"N6", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: 1}, SymmetricStepping, SymmetricStepping},
	{"N6-busy", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: 1, flows: 20}, SymmetricStepping, SymmetricStepping},
	{"N6-down", model{mapping: APDM, filtering: APDF, alloc: Stepping, step: -2}, SymmetricStepping, SymmetricStepping},
	{"N7", model{mapping: APDM, filtering: EIF, alloc: Random}, ClassUnknown, SymmetricOpenFilter},
	{"ADM", model{mapping: ADM, filtering: APDF, alloc: Random}, ClassUnknown, ClassUnknown},
	{"ranged", model{mapping: APDM, filtering: APDF, alloc: Ranged}, SymmetricRandom, SymmetricRandom},
	{"N11", model{mapping: EIM, filtering: APDF, alloc: Preserved, blocked: only1935}, Blocked, Blocked},
	{"N11s", model{mapping: EIM, filtering: APDF, alloc: Preserved, blocked: func(a netip.AddrPort) bool { return a != nodeMain }}, Blocked, Blocked},
	{"silent", model{mapping: EIM, filtering: APDF, alloc: Preserved, silent: true}, Silent, Silent},
	{"silent-N0", model{public: true, filtering: EIF, silent: true}, Silent, Silent},
}

// Right or unknown, never wrong; and right without loss.
func TestNativeProbing(t *testing.T) {
	const rounds = 100
	for _, kind := range kinds {
		for _, two := range []bool{false, true} {
			for _, loss := range []float64{0, 0.1, 0.3} {
				t.Run(fmt.Sprintf("%s/two=%t/loss=%v", kind.name, two, loss), func(t *testing.T) {
					want := kind.one
					if two {
						want = kind.two
					}
					right, wrong, most := 0, 0, 0
					longest := time.Duration(0)
					for seed := range uint64(rounds) {
						m := kind.m
						m.start(seed)
						r := lab{loss, 40 * time.Millisecond, two}.probe(&m)
						b := Classify(r.record, r.at)
						switch c := b.Class(); {
						case c == want && agrees(b, m):
							right++
						case c != ClassUnknown || !agrees(b, m):
							wrong++
							t.Logf("seed %d: class %v, want %v or unknown: %+v", seed, c, want, b)
						}
						most, longest = max(most, r.packets), max(longest, r.took)
					}
					t.Logf("%d of %d right, up to %d packets, %v", right, rounds, most, longest)
					// Half of all round trips lost is more than any number of tries within
					// three seconds is proof against.
					if tolerated := map[float64]int{0.3: rounds / 50}[loss]; wrong > tolerated {
						t.Errorf("%d of %d wrong", wrong, rounds)
					}
					if most > MaxPackets {
						t.Errorf("%d packets", most)
					}
					if loss <= 0.1 && longest > 3*time.Second {
						t.Errorf("took %v", longest)
					}
					share := map[float64]int{0: 95, 0.1: 90}[loss]
					if right*100 < rounds*share {
						t.Errorf("only %d of %d right", right, rounds)
					}
				})
			}
		}
	}
}

// agrees reports whether what b says of m is true, as far as it says anything.
func agrees(b Behavior, m model) bool {
	mapping := map[Mapping][]Mapping{MappingUnknown: {EIM, ADM, APDM}, MappingNotEIM: {ADM, APDM}, MappingNotAPDM: {EIM, ADM}}
	filtering := map[Filtering][]Filtering{FilteringUnknown: {EIF, ADF, APDF}, FilteringNotEIF: {ADF, APDF}, FilteringNotAPDF: {EIF, ADF}}
	ok := b.Mapping == m.mapping
	for _, v := range mapping[b.Mapping] {
		ok = ok || v == m.mapping
	}
	okFilter := b.Filtering == m.filtering
	for _, v := range filtering[b.Filtering] {
		okFilter = okFilter || v == m.filtering
	}
	okAlloc := b.Allocation == AllocationUnknown || b.Allocation == m.alloc
	if b.Allocation == Stepping {
		okAlloc = okAlloc && b.Step%m.step == 0 && b.Step*m.step > 0
	}
	okPublic := b.Public.Answer == Unknown || (b.Public.Answer == Yes) == m.public
	okBlocked := b.BlockedRoutes.Answer == Unknown || (b.BlockedRoutes.Answer == Yes) == (m.blocked != nil)
	okAnswers := b.AnswersIntroductions.Answer == Unknown || (b.AnswersIntroductions.Answer == No) == m.silent
	return ok && okFilter && okAlloc && okPublic && okBlocked && okAnswers
}
