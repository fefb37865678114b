package strategy

import (
	"math/bits"

	"pileus/natprobe"
)

// kindSet is every kind that a side may be: bit i is kindNumber[i].
type kindSet uint32

// numKinds: port kept, random or stepping, times three filters, times answering or
// not; and blocked.
const numKinds = 3*3*2 + 1

var allFilters = [...]filter{fromAnybody, fromKnownAddress, fromKnownPort}

var kindNumber = func() (all [numKinds]kind) {
	for _, f := range allFilters {
		for _, silent := range []bool{false, true} {
			for _, k := range []kind{{}, {dependent: true}, {dependent: true, steps: true}} {
				k.filter, k.silent = f, silent
				all[k.number()] = k
			}
		}
	}
	blocked := kind{blocked: true}
	all[blocked.number()] = blocked
	return all
}()

// meetTable is meet for all kinds: of two sides of which nothing is known there are
// hundreds of pairs to look at.
var meetTable = func() (table [numKinds][numKinds]meeting) {
	for i, initiator := range kindNumber {
		for t, target := range kindNumber {
			table[i][t] = meet(initiator, target)
		}
	}
	return table
}()

func (k kind) number() int {
	if k.blocked {
		return numKinds - 1
	}
	n := int(k.filter) * 3
	if k.dependent {
		n++
	}
	if k.steps {
		n++
	}
	if k.silent {
		n += 3 * 3
	}
	return n
}

func (s *kindSet) add(k kind) { *s |= 1 << k.number() }

// each calls f with the number of every kind in s.
func (s kindSet) each(f func(number int)) {
	for ; s != 0; s &= s - 1 {
		f(bits.TrailingZeros32(uint32(s)))
	}
}

// meetings is what may become of two sides, whatever they are.
func meetings(initiators, targets kindSet) (m meeting) {
	initiators.each(func(i int) {
		row := &meetTable[i]
		targets.each(func(t int) { m |= row[t] })
	})
	return m
}

// kindsOf is what a host may be whose behaviour is b.
func kindsOf(b *natprobe.Behavior) (s kindSet) {
	if b.BlockedRoutes.Answer == natprobe.Yes {
		s.add(kind{blocked: true})
		return s
	}
	// A mapping seen elsewhere says both that packets get there and that
	// introductions are answered.
	heard := b.Mapping != natprobe.MappingUnknown
	if b.BlockedRoutes.Answer == natprobe.Unknown && !heard {
		s.add(kind{blocked: true})
	}
	for _, f := range filtersOf(b) {
		s.addMappings(b, kind{filter: f, silent: b.AnswersIntroductions.Answer == natprobe.No})
		if b.AnswersIntroductions.Answer == natprobe.Unknown && !heard {
			s.addMappings(b, kind{filter: f, silent: true})
		}
	}
	return s
}

func (s *kindSet) addMappings(b *natprobe.Behavior, k kind) {
	if !b.Mapping.Dependent() {
		s.add(k)
	}
	if b.Mapping == natprobe.EIM || b.Public.Answer == natprobe.Yes {
		return
	}
	// Where the address changes too, the port is of no use.
	unknown := b.Allocation == natprobe.AllocationUnknown || b.Allocation == natprobe.Preserved
	steps := (unknown || b.Allocation == natprobe.Stepping) && b.Pooling.Answer != natprobe.Yes
	k.dependent = true
	if !steps || unknown {
		s.add(k)
	}
	if steps {
		k.steps = true
		s.add(k)
	}
}

func filtersOf(b *natprobe.Behavior) []filter {
	switch b.Filtering {
	case natprobe.EIF:
		return allFilters[:1]
	case natprobe.ADF:
		return allFilters[1:2]
	case natprobe.APDF:
		return allFilters[2:]
	case natprobe.FilteringNotAPDF:
		return allFilters[:2]
	case natprobe.FilteringNotEIF:
		return allFilters[1:]
	case natprobe.FilteringUnknown:
	}
	if b.FirewallOnly.Answer == natprobe.Yes {
		return allFilters[1:]
	}
	return allFilters[:]
}

// untranslated is a host of which only this is known: an address it reports is
// seen outside as it is.
var untranslated = func() (s kindSet) {
	for _, f := range allFilters {
		s.add(kind{filter: f})
	}
	return s
}()
