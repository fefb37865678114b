package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pileus/cmd/pileus/api"
	"pileus/introducer"
	"pileus/relay/limit"
)

// Allocations implements api.Node. Users of TURN bring no developer key.
func (o *operator) Allocations(context.Context) ([]api.Allocation, error) {
	if o.turn == nil || o.turn.server == nil {
		return nil, nil
	}
	open := o.turn.server.Allocations(time.Now())
	list := make([]api.Allocation, 0, len(open))
	for _, a := range open {
		list = append(list, api.Allocation{
			ID: fmt.Sprintf("%v/%v", a.Transport, a.Client), User: a.User, Tenant: introducer.DefaultTenant, Client: a.Client, Relayed: a.Relay,
			Since: a.Opened, Bytes: [2]uint64{a.Totals.Sent.Bytes, a.Totals.Received.Bytes},
		})
	}
	return list, nil
}

// drainRelay has TURN take no new allocations, or take them again.
func (o *operator) drainRelay(on bool) {
	if o.turn != nil && o.turn.server != nil {
		o.turn.server.Drain(on) // turn.alternates says where to
	}
}

// relayed is how many pairs the relays carry. Users of TURN hold no session, and a
// splice may outlast those of its peers for a moment.
func (o *operator) relayed() int {
	usage, _ := o.limits.Node()
	return usage.Open[limit.Splice] + usage.Open[limit.Allocation]
}

// meter is the relay's bandwidth between two looks at it.
type meter struct {
	mu    sync.Mutex
	at    time.Time
	bytes map[string]uint64 // by splice or allocation
	rate  int64
}

// meterStep is the least time between two looks that make a rate.
const meterStep = time.Second

// carried is what the relay carries now.
func (o *operator) carried(ctx context.Context) (api.Bandwidth, error) {
	splices, err := o.Splices(ctx)
	if err != nil {
		return api.Bandwidth{}, err
	}
	allocations, err := o.Allocations(ctx)
	if err != nil {
		return api.Bandwidth{}, err
	}
	bytes := make(map[string]uint64, len(splices)+len(allocations))
	for _, s := range splices {
		bytes["splice "+s.ID] = s.Bytes[0] + s.Bytes[1]
	}
	for _, a := range allocations {
		bytes["turn "+a.ID] = a.Bytes[0] + a.Bytes[1]
	}
	m := &o.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if d := now.Sub(m.at); d >= meterStep {
		var more uint64
		for id, b := range bytes {
			more += b - min(b, m.bytes[id])
		}
		m.rate = 0
		if m.bytes != nil {
			m.rate = int64(float64(more) * 8 / d.Seconds())
		}
		m.at, m.bytes = now, bytes
	}
	return api.Bandwidth{Pairs: len(splices), Now: m.rate, Limit: int64(o.current.Load().Limits.Node)}, nil
}
