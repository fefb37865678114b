package rtmfp

import (
	"testing"
	"time"

	"pileus/rtmfp/flow"
)

// taker is a Handler and SessionHandler that takes everything and does nothing.
type taker struct{}

func (taker) Hello(*Engine, Hello)           {}
func (taker) Accept(*Session) SessionHandler { return taker{} }
func (taker) Opened(*Session)                {}
func (taker) Moved(*Session)                 {}
func (taker) Closed(*Session, error)         {}
func (taker) Incoming(*Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: taker{}}, nil
}
func (taker) Message(*flow.RecvFlow, []byte) {}
func (taker) Ended(*flow.RecvFlow, error)    {}

// newTestEngine makes an engine as a node has it, but for what edit changes.
func newTestEngine(t testing.TB, edit ...func(*Config)) *Engine {
	t.Helper()
	c := Config{Identity: sealedIdentity(), Handler: taker{}, KeyPool: -1}
	for _, f := range edit {
		f(&c)
	}
	e, err := NewEngine(c, time.Unix(1_700_000_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return e
}
