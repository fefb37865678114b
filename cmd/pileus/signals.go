package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameInstant is how close signals are that one deed sent: timeout(1) signals
// the process and then its group.
const sameInstant = 100 * time.Millisecond

// stopping listens for the operator. polite ends with the first SIGINT or
// SIGTERM, or with ctx; atOnce with the second signal. release must be called;
// after it signals end the process as usual.
func stopping(ctx context.Context) (polite, atOnce context.Context, release func()) {
	polite, askPolitely := context.WithCancel(ctx)
	atOnce, insist := context.WithCancel(context.WithoutCancel(ctx))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	released, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var first time.Time
		for {
			select {
			case <-signals:
			case <-released:
				return
			}
			if first.IsZero() {
				first = time.Now()
				askPolitely()
			} else if time.Since(first) > sameInstant {
				insist()
				return
			}
		}
	}()
	return polite, atOnce, func() {
		signal.Stop(signals)
		close(released)
		<-done
		askPolitely()
		insist()
	}
}
