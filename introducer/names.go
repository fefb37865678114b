package introducer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pileus/rtmfp/flash"
)

// Bounds on presence. Together they hold a tenant's below some 20 MB.
const (
	maxNameBytes        = 64      // of UTF-8
	maxNamesPerPeer     = 8       // names of one session
	maxNamesPerTenant   = 1 << 16 // names of all sessions of one tenant
	maxWatchesPerPeer   = 64      // names that one session watches
	maxWatchesPerName   = 1 << 10 // sessions that watch one name: each change is a message to all
	maxWatchesPerTenant = 1 << 17 // watches of all sessions of one tenant
	maxListPage         = 100     // names in one answer
)

const (
	codeBadName  = "Pileus.Presence.BadName"
	codeTaken    = "Pileus.Presence.Taken"
	codeTooMany  = "Pileus.Presence.TooMany"
	codeNotFound = "Pileus.Presence.NotFound"
	codeUnproven = "Pileus.Presence.Unproven"
	codeLost     = "Pileus.Presence.Lost"
)

// checkName says what a name must not be. Names are compared byte by byte.
func checkName(name string) *callError {
	bad := func(text string) *callError { return &callError{codeBadName, text} }
	switch {
	case name == "":
		return bad("a name must not be empty")
	case len(name) > maxNameBytes:
		return bad(fmt.Sprintf("a name has %d bytes at most, not %d", maxNameBytes, len(name)))
	case !utf8.ValidString(name):
		return bad("a name must be UTF-8")
	case strings.ContainsFunc(name, unprintable):
		return bad("a name must not have control characters")
	}
	if _, err := flash.ParsePeerID(name); err == nil {
		return bad("a name must not look like a peer ID")
	}
	return nil
}

// unprintable is what would let a name look like another, or upset a terminal.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

// names is the presence of one tenant: who is known by which name, and who
// wants to hear of it.
type names struct {
	holders  map[string]*Peer
	sorted   []string // those held
	watchers map[string][]*Peer
	watches  int // in all
}

// register gives p a name. One that another session holds passes to p if that
// is an older session of the same peer, or seems dead; it is returned then.
func (b *names) register(p *Peer, name string, dead func(*Peer) bool) (previous *Peer, err *callError) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	holder := b.holders[name]
	switch {
	case holder == p:
		return nil, nil
	case holder != nil && holder.ID() != p.ID() && !dead(holder):
		return nil, &callError{codeTaken, fmt.Sprintf("%q is the name of another peer", name)}
	case len(p.names) >= maxNamesPerPeer:
		return nil, &callError{codeTooMany, fmt.Sprintf("one session has %d names at most", maxNamesPerPeer)}
	case holder == nil && len(b.holders) >= maxNamesPerTenant:
		return nil, &callError{codeTooMany, "no more names are free on this node"}
	}
	if holder != nil {
		holder.names = without(holder.names, name)
	} else {
		i, _ := slices.BinarySearch(b.sorted, name)
		b.sorted = slices.Insert(b.sorted, i, name)
	}
	if b.holders == nil {
		b.holders = make(map[string]*Peer)
	}
	b.holders[name] = p
	p.names = append(p.names, name)
	return holder, nil
}

// release takes a name from p, and reports whether p had it.
func (b *names) release(p *Peer, name string) bool {
	if b.holders[name] != p {
		return false
	}
	delete(b.holders, name)
	if i, found := slices.BinarySearch(b.sorted, name); found {
		b.sorted = slices.Delete(b.sorted, i, i+1)
	}
	p.names = without(p.names, name)
	return true
}

// watch lets p hear of a name, whether or not somebody holds it.
func (b *names) watch(p *Peer, name string) *callError {
	if err := checkName(name); err != nil {
		return err
	}
	switch {
	case slices.Contains(p.watches, name):
		return nil
	case len(p.watches) >= maxWatchesPerPeer:
		return &callError{codeTooMany, fmt.Sprintf("one session watches %d names at most", maxWatchesPerPeer)}
	case len(b.watchers[name]) >= maxWatchesPerName, b.watches >= maxWatchesPerTenant:
		return &callError{codeTooMany, "too many watch this name, or names on this node; ask with presence.lookup instead"}
	}
	if b.watchers == nil {
		b.watchers = make(map[string][]*Peer)
	}
	b.watchers[name] = append(b.watchers[name], p)
	b.watches++
	p.watches = append(p.watches, name)
	return nil
}

func (b *names) unwatch(p *Peer, name string) {
	i := slices.Index(p.watches, name)
	if i < 0 {
		return
	}
	p.watches = slices.Delete(p.watches, i, i+1)
	b.watches--
	if rest := without(b.watchers[name], p); len(rest) > 0 {
		b.watchers[name] = rest
	} else {
		delete(b.watchers, name)
	}
}

// page lists names with a prefix that come after another, in order, and reports
// whether there are more.
func (b *names) page(prefix, after string) (list []string, more bool) {
	from := max(prefix, after)
	i, found := slices.BinarySearch(b.sorted, from)
	if found && from == after {
		i++
	}
	for ; i < len(b.sorted) && strings.HasPrefix(b.sorted[i], prefix); i++ {
		if len(list) == maxListPage {
			return list, true
		}
		list = append(list, b.sorted[i])
	}
	return list, false
}

func (b *names) empty() bool { return len(b.holders) == 0 && b.watches == 0 }

// without takes the first v out of list, whose order does not matter.
func without[T comparable](list []T, v T) []T {
	i := slices.Index(list, v)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	clear(list[last:])
	return list[:last]
}
