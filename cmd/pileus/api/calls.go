package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"pileus/introducer"
	"pileus/rtmfp/flash"
)

func (s *server) status(_ scope, r *http.Request) (any, error) { return s.Node.Status(r.Context()) }

// PeerList is a page of peers, by ID.
type PeerList struct {
	Peers []Peer `json:"peers"`
	Total int    `json:"total"` // that match, on all pages
	Next  string `json:"next"`  // the next page's after; empty: there is none

	Classes map[string]int `json:"classes"` // how many of the total are behind which kind of NAT
}

func (s *server) peers(who scope, r *http.Request) (any, error) {
	limit, err := page(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	is := func(key, value string) bool { return q.Get(key) == "" || q.Get(key) == value }
	list, err := s.Node.Peers(r.Context(), func(p Peer) bool {
		return who.sees(p.Tenant) && is("tenant", p.Tenant) && is("app", p.App) && is("class", p.Class.String()) && is("name", p.Name)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	from, found := slices.BinarySearchFunc(list, q.Get("after"), func(p Peer, id string) int { return cmp.Compare(p.ID, id) })
	if found {
		from++
	}
	to := min(from+limit, len(list))
	page := PeerList{Peers: notNil(list[from:to]), Total: len(list), Classes: map[string]int{}}
	for _, p := range list {
		page.Classes[p.Class.String()]++
	}
	if to < len(list) {
		page.Next = list[to-1].ID
	}
	return page, nil
}

const errPeerID = inputError("a peer ID has 64 hexadecimal digits")

// find is the peer that a path names, if the caller may see it.
func (s *server) find(ctx context.Context, who scope, id string) (flash.PeerID, PeerDetail, error) {
	p, err := flash.ParsePeerID(id)
	if err != nil {
		return p, PeerDetail{}, errPeerID
	}
	d, err := s.Node.Peer(ctx, p)
	if err == nil && !who.sees(d.Tenant) {
		err = ErrNotFound // another tenant's is not there
	}
	return p, d, err
}

func (s *server) peer(who scope, r *http.Request) (any, error) {
	_, d, err := s.find(r.Context(), who, r.PathValue("id"))
	return d, err
}

func (s *server) closePeer(who scope, r *http.Request) (any, error) {
	id, _, err := s.find(r.Context(), who, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return nil, s.Node.ClosePeer(r.Context(), id)
}

// Introductions are the latest, the newest first.
type Introductions struct {
	Introductions []Event `json:"introductions"`
}

func (s *server) introductions(who scope, r *http.Request) (any, error) {
	limit, err := page(r)
	return Introductions{s.Recorder.recent(who, r.URL.Query().Get("peer"), limit)}, err
}

func (s *server) introduce(who scope, r *http.Request) (any, error) {
	var wish struct {
		Initiator string `json:"initiator"`
		Target    string `json:"target"`
	}
	if err := read(r, &wish); err != nil {
		return nil, err
	}
	a, _, err := s.find(r.Context(), who, wish.Initiator)
	if err != nil {
		return nil, fmt.Errorf("initiator: %w", err)
	}
	b, _, err := s.find(r.Context(), who, wish.Target)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	plan, err := s.Node.Introduce(r.Context(), a, b)
	switch {
	case errors.Is(err, introducer.ErrNoPeer):
		return nil, ErrNotFound
	case errors.Is(err, introducer.ErrSamePeer), errors.Is(err, introducer.ErrOtherTenants):
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return plan, err
}

func (s *server) matrix(who scope, _ *http.Request) (any, error) { return s.Recorder.matrix(who), nil }

// visible cuts a list down to what a caller may see, and to one page.
func visible[T any](r *http.Request, who scope, list []T, err error, tenant func(T) string) ([]T, error) {
	if err != nil {
		return nil, err
	}
	limit, err := page(r)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(v T) bool { return !who.sees(tenant(v)) })
	return notNil(list[:min(len(list), limit)]), nil
}

// Splices are the pairs that are relayed now.
type Splices struct {
	Splices []Splice `json:"splices"`
}

func (s *server) splices(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Splices(r.Context())
	list, err = visible(r, who, list, err, func(v Splice) string { return v.Tenant })
	return Splices{list}, err
}

func (s *server) endSplice(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Splices(r.Context())
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	if !slices.ContainsFunc(list, func(v Splice) bool { return v.ID == id && who.sees(v.Tenant) }) {
		return nil, ErrNotFound
	}
	return nil, s.Node.EndSplice(r.Context(), id)
}

// Allocations are those of the TURN server now.
type Allocations struct {
	Allocations []Allocation `json:"allocations"`
}

func (s *server) allocations(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Allocations(r.Context())
	list, err = visible(r, who, list, err, func(v Allocation) string { return v.Tenant })
	return Allocations{list}, err
}

// Cores are the core servers that have registered.
type Cores struct {
	Cores []Core `json:"cores"`
}

func (s *server) cores(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Cores(r.Context())
	list, err = visible(r, who, list, err, func(Core) string { return "" })
	return Cores{list}, err
}

// Groups are the NetGroups with members here.
type Groups struct {
	Groups []Group `json:"groups"`
}

func (s *server) groups(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Groups(r.Context())
	list, err = visible(r, who, list, err, func(v Group) string { return v.Tenant })
	return Groups{list}, err
}

// Tenants are those of the configuration.
type Tenants struct {
	Tenants []Tenant `json:"tenants"`
}

func (s *server) tenants(who scope, r *http.Request) (any, error) {
	list, err := s.Node.Tenants(r.Context())
	list, err = visible(r, who, list, err, func(v Tenant) string { return v.Tenant })
	return Tenants{list}, err
}

func (s *server) drain(_ scope, r *http.Request) (any, error) {
	var order struct {
		Deadline string `json:"deadline"`
	}
	if err := read(r, &order); err != nil {
		return nil, err
	}
	d, err := time.ParseDuration(order.Deadline)
	if err != nil || d < 0 || d > maxDeadline {
		return nil, inputError(`deadline is a duration such as "10m", at most ` + maxDeadline.String())
	}
	return nil, s.Node.Drain(r.Context(), d)
}

func (s *server) cancelDrain(_ scope, r *http.Request) (any, error) {
	return nil, s.Node.CancelDrain(r.Context())
}

func (s *server) reload(_ scope, r *http.Request) (any, error) { return s.Node.Reload(r.Context()) }

// LogLevel is the least severe level that is logged.
type LogLevel struct {
	Level string `json:"level"` // debug, info, warn, error
}

func (s *server) logLevel(scope, *http.Request) (any, error) { return LogLevel{s.Node.LogLevel()}, nil }

func (s *server) setLogLevel(_ scope, r *http.Request) (any, error) {
	var level LogLevel
	if err := read(r, &level); err != nil {
		return nil, err
	}
	if err := s.Node.SetLogLevel(level.Level); err != nil {
		return nil, inputError(err.Error())
	}
	return level, nil
}
