package natprobe

import (
	"math"
	"slices"
	"time"
)

// Ports is what the public ports of new mappings have in common.
type Ports struct {
	Samples int `json:"samples"` // mappings, made one after the other
	// Parity: even sockets get even ports, odd ones odd (RFC 4787 section 4.2.2).
	// Contiguous: the ports of sockets whose own follow each other do so too.
	Parity     Finding `json:"parity"`
	Contiguous Finding `json:"contiguous"`

	// Seen is the lowest and the highest port; Likely how far the allocator may
	// reach beyond, and Entropy the bits that are left to guess of its next port:
	// 0 where it keeps or steps exactly, 16 where it is anywhere.
	Seen    [2]uint16 `json:"seen"`
	Likely  [2]uint16 `json:"likely"`
	Entropy float64   `json:"entropyBits"`

	// Birthday is how many random probes meet one of BirthdayPorts that the host
	// has open, with a chance of 50, 98 and 99.9 %. Nil where ports are known.
	Birthday *[3]int `json:"birthdayProbes,omitempty"`
}

// BirthdayPorts is how many ports the hard side opens in birthday probing.
const BirthdayPorts = 256

const (
	minPortSamples = 4
	firstPort      = 1024 // below, no allocator goes unless the socket does
	lastPort       = 65535
)

// NewPorts reads the mappings whose making was seen; nil if there are too few.
func NewPorts(obs []Observation) *Ports {
	e := gather(obs, latest(obs))
	b := Classify(obs, latest(obs))
	sample := those(e.sockets, answered)
	made := e.made(b.Mapping)
	if len(sample) < minPortSamples || b.Public.Answer == Yes {
		return nil
	}
	p := Ports{Samples: len(made), Parity: parity(sample), Contiguous: contiguous(sample)}
	if len(made) == 0 { // every socket kept the port, or got the main one's
		made = sample
		p.Samples = len(sample)
	}
	ports := sortedPorts(made)
	lowest, highest := ports[0], ports[len(ports)-1]
	p.Seen = [2]uint16{uint16(lowest), uint16(highest)}
	p.Likely = p.Seen
	switch b.Allocation {
	case Preserved:
	case Stepping:
		p.Entropy = math.Log2(float64(max(1, b.Jitter/max(1, abs(b.Step))+1)))
	default:
		// n samples of a range leave about a gap's width unseen at each end.
		gap := (highest - lowest) / max(1, len(ports)-1)
		p.Likely = [2]uint16{uint16(max(min(firstPort, lowest), lowest-gap)), uint16(min(lastPort, highest+gap))}
		size := int(p.Likely[1]) - int(p.Likely[0]) + 1
		p.Entropy = math.Log2(float64(size))
		p.Birthday = &[3]int{birthdayProbes(size, 0.5), birthdayProbes(size, 0.98), birthdayProbes(size, 0.999)}
	}
	return &p
}

// birthdayProbes is how many different ports of size must be tried at random to
// find one of BirthdayPorts open ones with this chance.
func birthdayProbes(size int, chance float64) int {
	missed := 1.0
	for tried := range size {
		if 1-missed >= chance {
			return tried
		}
		missed *= max(0, float64(size-tried-BirthdayPorts)/float64(size-tried))
	}
	return size
}

// parity counts the sockets whose public port is even or odd as their own is.
func parity(sample []Observation) Finding {
	var s sum
	both := [2]bool{}
	for _, o := range sample {
		s.tries++
		if o.Local.Port()%2 == o.Seen.Port()%2 {
			s.hits++
		}
		both[o.Local.Port()%2] = true
		s.at = o.At
	}
	switch {
	case s.hits < s.tries:
		return s.finding(No)
	case both[0] && both[1] && s.tries >= minPortSamples: // by chance: once in 2^tries
		return s.finding(Yes)
	}
	return s.finding(Unknown)
}

// contiguous counts the pairs of sockets with neighbouring ports of their own that
// have neighbouring public ones, in the same order.
func contiguous(sample []Observation) Finding {
	byLocal := slices.Clone(sample)
	slices.SortFunc(byLocal, func(a, b Observation) int { return int(a.Local.Port()) - int(b.Local.Port()) })
	var s sum
	for i := 1; i < len(byLocal); i++ {
		before, after := byLocal[i-1], byLocal[i]
		if after.Local.Port()-before.Local.Port() != 1 {
			continue
		}
		s.tries++
		if after.Seen.Port()-before.Seen.Port() == 1 {
			s.hits++
		}
		s.at = after.At
	}
	switch {
	case s.tries > 0 && s.hits == s.tries:
		return s.finding(Yes)
	case s.tries > 0:
		return s.finding(No)
	}
	return s.finding(Unknown)
}

func latest(obs []Observation) (t time.Time) {
	for _, o := range obs {
		if o.At.After(t) {
			t = o.At
		}
	}
	return t
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
