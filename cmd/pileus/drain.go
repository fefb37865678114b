package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"pileus/cmd/pileus/api"
	"pileus/rtmfp"
)

// drainLook is how often a draining node looks whether anybody is left.
const drainLook = time.Second

// drain is the order to take no clients and to end.
type drain struct {
	mu       sync.Mutex
	deadline *time.Time
	stop     context.CancelFunc
	end      context.CancelFunc // of the node; set before it serves
	waiting  sync.WaitGroup
}

// ends is when the node ends; nil: it does not drain.
func (d *drain) ends() *time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deadline
}

// close stops waiting: the node has ended.
func (d *drain) close() {
	d.mu.Lock()
	if d.stop != nil {
		d.stop()
	}
	d.mu.Unlock()
	d.waiting.Wait()
}

// Drain implements api.Node. A second order moves the deadline.
func (o *operator) Drain(ctx context.Context, after time.Duration) error {
	if err := o.ask(ctx, func(*rtmfp.Engine) { o.intro.Drain(true) }); err != nil {
		return err
	}
	o.limits.Drain(true)
	o.drainRelay(true)
	o.log.Info("draining", "deadline", after.String())
	d := &o.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
	}
	at := time.Now().Add(after)
	waiting, stop := context.WithDeadline(context.WithoutCancel(ctx), at)
	d.deadline, d.stop = &at, stop
	d.waiting.Go(func() { o.awaitEmpty(waiting) })
	return nil
}

// awaitEmpty ends the node at ctx's deadline, or as soon as nobody is left; not
// if ctx is cancelled.
func (o *operator) awaitEmpty(ctx context.Context) {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for left := 1; left > 0; {
		select {
		case <-look.C:
			// Those that linger after their end are not open. An engine that does not
			// answer is asked again.
			_ = o.ask(ctx, func(e *rtmfp.Engine) {
				left = o.relayed()
				e.Sessions(func(*rtmfp.Session) { left++ })
			})
		case <-ctx.Done():
			left = 0
		}
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		o.drain.end()
	}
}

// CancelDrain implements api.Node.
func (o *operator) CancelDrain(ctx context.Context) error {
	d := &o.drain
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deadline == nil {
		return api.ErrNotFound
	}
	d.stop()
	d.deadline, d.stop = nil, nil
	o.limits.Drain(false)
	o.drainRelay(false)
	o.log.Info("drain called off")
	return o.ask(ctx, func(*rtmfp.Engine) { o.intro.Drain(false) })
}
