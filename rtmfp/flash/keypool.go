package flash

// KeyPool keeps pairs that were generated in idle time, so that a handshake pays
// for one exponentiation instead of two. It is safe for concurrent use and never
// blocks.
type KeyPool struct {
	pairs map[Group]chan *KeyPair
}

// NewKeyPool makes a pool of at most size pairs for each of the groups.
func NewKeyPool(size int, groups ...Group) *KeyPool {
	p := &KeyPool{pairs: make(map[Group]chan *KeyPair, len(groups))}
	for _, g := range groups {
		p.pairs[g] = make(chan *KeyPair, size)
	}
	return p
}

// Take returns a pair nobody else gets: a stored one, or a new one if there is
// none.
func (p *KeyPool) Take(g Group) (*KeyPair, error) {
	select {
	case k := <-p.pairs[g]:
		return k, nil
	default:
		return GenerateKey(g, nil)
	}
}

// Refill returns work that generates one pair for group g and stores it, to be
// run on any goroutine that has nothing better to do; nil if there is no room. A
// pair that finds the pool full is dropped.
func (p *KeyPool) Refill(g Group) (work func()) {
	pairs := p.pairs[g]
	if len(pairs) == cap(pairs) {
		return nil
	}
	return func() {
		k, err := GenerateKey(g, nil)
		if err != nil {
			return // a group not supported: Take says so
		}
		select {
		case pairs <- k:
		default:
		}
	}
}

// Len returns the number of pairs stored for group g.
func (p *KeyPool) Len(g Group) int { return len(p.pairs[g]) }
