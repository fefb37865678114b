package introducer

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/btree"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
)

// Bounds on what one session has of presence; Limits has those on what all have.
const (
	maxNameBytes      = 64  // of UTF-8
	maxNamesPerPeer   = 8   // names of one session
	maxWatchesPerPeer = 64  // names that one session watches
	maxListPage       = 100 // names in one answer
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
	holders btree.Map[string, *Peer]
	watched map[string]*watchedName
}

func (b *names) holder(name string) *Peer {
	p, _ := b.holders.Get(name)
	return p
}

// register gives p a name. One that another session holds passes to p if that
// is an older session of the same peer, or seems dead; it is returned then.
func (r *realm) register(p *Peer, name string, dead func(*Peer) bool) (previous *Peer, err *callError) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	holder := r.holder(name)
	switch {
	case holder == p:
		return nil, nil
	case holder != nil && holder.ID() != p.ID() && !dead(holder):
		return nil, &callError{codeTaken, fmt.Sprintf("%q is the name of another peer", name)}
	case len(p.names) >= maxNamesPerPeer:
		return nil, &callError{codeTooMany, fmt.Sprintf("one session has %d names at most", maxNamesPerPeer)}
	}
	if holder != nil {
		holder.names = without(holder.names, name)
		r.give(holder, SharedNames)
		r.hold(p, SharedNames)
	} else if why := r.take(p, SharedNames); why != flow.Granted {
		return nil, tooMany(why, "names")
	}
	r.holders.Set(name, p)
	p.names = append(p.names, name)
	return holder, nil
}

// tooMany tells a client why there is not one more for it.
func tooMany(why flow.Refusal, of string) *callError {
	text := "no more " + of + " are free on this node"
	if why == flow.OverShare {
		text = "this network has its share of the " + of + " on this node, which are in short supply"
	}
	return &callError{codeTooMany, text}
}

// release takes a name from p, and reports whether p had it.
func (r *realm) release(p *Peer, name string) bool {
	if p == nil || r.holder(name) != p {
		return false
	}
	r.holders.Delete(name)
	p.names = without(p.names, name)
	r.give(p, SharedNames)
	return true
}

// watchedName is who watches a name, and what they have been told.
type watchedName struct {
	audience[*Peer]
	told    flash.PeerID // who had it, when they were told last; zero: nobody
	telling bool         // they are being told
	again   bool         // it has changed since
}

// watch lets p hear of a name, whether or not somebody holds it.
func (r *realm) watch(p *Peer, name string) *callError {
	if err := checkName(name); err != nil {
		return err
	}
	switch {
	case p.watches[name] != nil:
		return nil
	case len(p.watches) >= maxWatchesPerPeer:
		return &callError{codeTooMany, fmt.Sprintf("one session watches %d names at most", maxWatchesPerPeer)}
	}
	if why := r.take(p, SharedWatches); why != flow.Granted {
		err := tooMany(why, "watches of names")
		err.text += "; ask with presence.lookup instead"
		return err
	}
	if r.watched == nil {
		r.watched = make(map[string]*watchedName)
	}
	w := r.watched[name]
	if w == nil {
		w = new(watchedName)
		if h := r.holder(name); h != nil {
			w.told = h.ID()
		}
		r.watched[name] = w
	}
	if p.watches == nil {
		p.watches = make(map[string]*seat[*Peer])
	}
	p.watches[name] = w.come(p)
	return nil
}

func (r *realm) unwatch(p *Peer, name string) {
	s := p.watches[name]
	if s == nil {
		return
	}
	s.leave()
	delete(p.watches, name)
	r.give(p, SharedWatches)
	if w := r.watched[name]; w.len() == 0 && !w.telling {
		delete(r.watched, name)
	}
}

// page lists names with a prefix that come after another, in order, and reports
// whether there are more.
func (b *names) page(prefix, after string) (list []NamedPeer, more bool) {
	b.holders.Ascend(max(prefix, after), func(name string, h *Peer) bool {
		if name == after {
			return true
		}
		if !strings.HasPrefix(name, prefix) {
			return false
		}
		if len(list) == maxListPage {
			more = true
			return false
		}
		list = append(list, NamedPeer{name, h.ID(), h.since})
		return true
	})
	return list, more
}

// without takes the first v out of list, whose order does not matter.
func without[T comparable](list []T, v T) []T {
	for i := range list {
		if list[i] == v {
			last := len(list) - 1
			list[i] = list[last]
			clear(list[last:])
			return list[:last]
		}
	}
	return list
}
