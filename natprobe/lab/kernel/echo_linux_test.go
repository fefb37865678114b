package kernel

import (
	"context"
	"os/exec"
	"sync"
	"testing"
)

// What a network was verified by is gone before a node begins, though programs are started
// meanwhile: between fork and exec each holds every socket of this process.
func TestEchoIsClosedForGood(t *testing.T) {
	if err := Available(); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	n, err := Up(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	for range 8 {
		starting.Go(func() {
			for ctx.Err() == nil {
				_ = exec.Command("true").Run() // how it ends does not matter
			}
		})
	}
	for i := range 300 {
		e, err := newEcho(n.Node())
		if err != nil {
			t.Errorf("try %d: %v", i, err)
			break
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	starting.Wait()
}
