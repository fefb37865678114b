package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"pileus/introducer"
)

// NameEvent is a change of a name: a peer has it now, or has it no more.
type NameEvent struct {
	Event  string    `json:"event"` // came, changed (it passed to this peer), went
	Time   time.Time `json:"time"`
	Tenant string    `json:"tenant"`
	Name   string    `json:"name"`
	Peer   string    `json:"peer"`
}

// namesTenant is whose names a request is about.
func namesTenant(who scope, r *http.Request) (string, error) {
	tenant := cmp.Or(r.URL.Query().Get("tenant"), who.tenant, introducer.DefaultTenant)
	if !who.sees(tenant) {
		return "", ErrNotFound
	}
	return tenant, nil
}

func (s *server) names(who scope, r *http.Request) (any, error) {
	tenant, err := namesTenant(who, r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	return s.Node.Names(r.Context(), tenant, q.Get("prefix"), q.Get("after"))
}

// watchNames is the stream of changes of one name, or of those with a prefix. It
// begins with those that are held.
func (s *server) watchNames(w http.ResponseWriter, r *http.Request) {
	who, ok := s.enter(w, r, false)
	if !ok {
		return
	}
	tenant, err := namesTenant(who, r)
	if err != nil {
		refusalOf(err).write(w)
		return
	}
	name, prefix := r.URL.Query().Get("name"), r.URL.Query().Get("prefix")
	if name != "" && prefix != "" {
		refusalOf(inputError("watch a name or a prefix, not both")).write(w)
		return
	}
	of := func(n string) bool { return name == "" && strings.HasPrefix(n, prefix) || n == name }
	// What changes between the two comes twice rather than never.
	stream := s.Recorder.followNames(who, func(e *NameEvent) bool { return e.Tenant == tenant && of(e.Name) })
	held, err := s.Node.Names(r.Context(), tenant, cmp.Or(name, prefix), "")
	if name != "" {
		held.Names, held.More = notNil(slices.DeleteFunc(held.Names, func(n Name) bool { return n.Name != name })), false
	}
	if err != nil {
		s.Recorder.unfollow(stream)
		refusalOf(err).write(w)
		return
	}
	s.stream(w, r, stream, message{"names", held})
}
