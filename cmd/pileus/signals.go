package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopping listens for the operator. polite ends with the first SIGINT or
// SIGTERM, or with ctx; atOnce with the second signal. release must be called;
// after it signals end the process as usual.
func stopping(ctx context.Context) (polite, atOnce context.Context, release func()) {
	polite, askPolitely := context.WithCancel(ctx)
	atOnce, insist := context.WithCancel(context.WithoutCancel(ctx))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	released, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for _, act := range []func(){askPolitely, insist} {
			select {
			case <-signals:
				act()
			case <-released:
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
