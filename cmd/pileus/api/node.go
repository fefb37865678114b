package api

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"pileus/rtmfp/flash"
)

// Node is what the API shows and orders. Methods may be called from any
// goroutine and give up with their context. A feature that the node does not
// have lists nothing and finds nothing.
type Node interface {
	Status(ctx context.Context) (Status, error)
	Peers(ctx context.Context, match func(Peer) bool) ([]Peer, error)
	Peer(ctx context.Context, id flash.PeerID) (PeerDetail, error)
	ClosePeer(ctx context.Context, id flash.PeerID) error
	// Timeline is empty of a peer that is not watched. Watch is for ten minutes.
	Timeline(ctx context.Context, id flash.PeerID) (Timeline, error)
	Watch(ctx context.Context, id flash.PeerID) (Timeline, error)
	Unwatch(ctx context.Context, id flash.PeerID) error
	Introduce(ctx context.Context, initiator, target flash.PeerID) (Plan, error)
	Names(ctx context.Context, tenant, prefix, after string) (Names, error)

	Splices(ctx context.Context) ([]Splice, error)
	EndSplice(ctx context.Context, id string) error
	Allocations(ctx context.Context) ([]Allocation, error)
	Cores(ctx context.Context) ([]Core, error)
	Groups(ctx context.Context) ([]Group, error)
	// Tenants are those of the configuration, by name.
	Tenants(ctx context.Context) ([]Tenant, error)

	// Drain takes no clients from now on; the node ends after the deadline.
	Drain(ctx context.Context, deadline time.Duration) error
	CancelDrain(ctx context.Context) error
	Reload(ctx context.Context) (Reloaded, error)
	LogLevel() string
	SetLogLevel(level string) error
}

// What a Node answers beside values.
var (
	ErrNotFound = errors.New("there is nothing of that name here")
	ErrRefused  = errors.New("refused") // wrapped, with the reason
)

// Status is the node as a whole.
type Status struct {
	Version     string     `json:"version"`
	Fingerprint string     `json:"fingerprint"`
	Started     time.Time  `json:"started"`
	Ready       bool       `json:"ready"`
	Draining    *time.Time `json:"draining"` // when it ends
	Peers       int        `json:"peers"`
	Sessions    int        `json:"sessions"`
	Introduced  uint64     `json:"introduced"`
	Retried     uint64     `json:"retried"`
	Relay       Bandwidth  `json:"relay"`
	Hooks       *HookState `json:"hooks"`
}

// Bandwidth is what the relay carries, in bits of IP packets a second.
type Bandwidth struct {
	Pairs int   `json:"pairs"`
	Now   int64 `json:"bits_per_second"`
	Limit int64 `json:"limit_bits_per_second"` // 0: none
}

// HookState is how the core server's hooks do.
type HookState struct {
	Allowed   uint64 `json:"allowed"`
	Refused   uint64 `json:"refused"`
	NoAnswer  uint64 `json:"no_answer"`
	Told      uint64 `json:"told"`
	Retries   uint64 `json:"retries"`
	Discarded uint64 `json:"discarded"`
	Lost      uint64 `json:"lost"`
	Waiting   int    `json:"waiting"`
}

// Splice is a pair that is relayed.
type Splice struct {
	ID        string            `json:"id"`
	Tenant    string            `json:"tenant"`
	Initiator string            `json:"initiator"`
	Target    string            `json:"target"`
	Relay     [2]netip.AddrPort `json:"relay"`   // the initiator's side, the target's
	Sources   [2]netip.AddrPort `json:"sources"` // as learned
	Since     time.Time         `json:"since"`
	Bytes     [2]uint64         `json:"bytes"` // IP bytes from the initiator, from the target
}

// Allocation is one of the TURN server's.
type Allocation struct {
	ID      string         `json:"id"`
	User    string         `json:"user"`
	Tenant  string         `json:"tenant"`
	Client  netip.AddrPort `json:"client"`
	Relayed netip.AddrPort `json:"relayed"`
	Since   time.Time      `json:"since"`
	Bytes   [2]uint64      `json:"bytes"`
}

// Core is a core server that has registered.
type Core struct {
	Fingerprint string           `json:"fingerprint"`
	KeyID       string           `json:"key_id"`
	Address     netip.AddrPort   `json:"address"`
	Addresses   []netip.AddrPort `json:"addresses"`
	Load        uint64           `json:"load"`
	Draining    bool             `json:"draining"`
	Since       time.Time        `json:"since"`
	Sent        uint64           `json:"clients_sent"`
}

// Group is a NetGroup that members were told of here.
type Group struct {
	ID      string `json:"id"`
	Tenant  string `json:"tenant"`
	Members int    `json:"members"`
}

// Tenant is what the relay carried for a tenant, beside its limits; 0 is no limit.
// What it counts begins anew with the UTC day if no pair is open, and with the node.
type Tenant struct {
	Tenant      string  `json:"tenant"`
	Pairs       int     `json:"pairs"` // relayed now
	MaxPairs    int     `json:"limit_pairs"`
	MaxRate     int64   `json:"limit_bits_per_second"` // of all its pairs, each direction by itself
	BytesToday  uint64  `json:"bytes_today"`           // IP bytes, as all here
	BytesPerDay int64   `json:"limit_bytes_per_day"`
	Opened      uint64  `json:"opened"`
	Seconds     float64 `json:"seconds"` // of pairs that have ended, summed
	Bytes       uint64  `json:"bytes"`
	Packets     uint64  `json:"packets"`
	Marks       uint64  `json:"marks"`
	Drops       uint64  `json:"drops"`
}

// Names is a page of presence.
type Names struct {
	Names []Name `json:"names"`
	More  bool   `json:"more"`
}

// Name is a name and whose it is.
type Name struct {
	Name  string    `json:"name"`
	Peer  string    `json:"peer"`
	Since time.Time `json:"since"`
}

// Reloaded is what a reload did.
type Reloaded struct {
	Changed []string `json:"changed"` // keys in force now
	Restart []string `json:"restart"` // keys that differ but wait for a restart
	Opened  []string `json:"opened"`  // addresses of the machine that came, and are served now
	Closed  []string `json:"closed"`  // those that went
	Missing []string `json:"missing"` // what is asked for and cannot be served now, and why
}
