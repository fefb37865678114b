package prober_test

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pileus/natprobe"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// busy is a machine that has something else to do now and then: a packet takes long to
// leave, so that many others are due at once, and answers are read in another order than
// they came in.
type busy struct {
	mu    sync.Mutex
	sent  int
	reads int
}

type busySocket struct {
	net.PacketConn
	machine *busy
}

const pause = 150 * time.Millisecond

func (s *busySocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.machine.mu.Lock()
	s.machine.sent++
	long := s.machine.sent%8 == 0
	s.machine.mu.Unlock()
	n, err := s.PacketConn.WriteTo(b, to)
	if long {
		time.Sleep(pause)
	}
	return n, err
}

func (s *busySocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.PacketConn.ReadFrom(b)
	if err == nil {
		s.machine.mu.Lock()
		s.machine.reads++
		late := s.machine.reads * 7 % 10
		s.machine.mu.Unlock()
		time.Sleep(time.Duration(late) * time.Millisecond)
	}
	return n, from, err
}

// Mappings that are made in a row have their order, though the packets for them leave at
// the same time and their answers come in another.
func TestOrderOfManyAtOnce(t *testing.T) {
	for _, step := range []int{1, 2, 4, -4} {
		kind, _ := lab.KindNamed("N6")
		a := allocator{step, allPorts}
		kind.Chain = []lab.Behavior{kind.Chain[0]}
		a.apply(&kind.Chain[0])
		n := newNetwork(kind, true, 0, 3)
		machine := &busy{}
		synctest.Test(t, func(t *testing.T) {
			run, err := prober.Ask(t.Context(), prober.Config{Server: main, Listen: func() (net.PacketConn, error) {
				conn, err := n.listen()
				return &busySocket{conn, machine}, err
			}})
			if err != nil {
				t.Fatal(err)
			}
			r := report.New(report.Record{Runs: []report.Run{run}}, time.Now(), nil)
			began := make(map[time.Time]bool)
			for _, o := range run.Observations {
				if o.Kind == natprobe.KindSocket && began[o.Began()] {
					t.Errorf("two began at %v", o.Began())
				}
				began[o.Began()] = true
			}
			if b := r.Behavior; b.Allocation != natprobe.Stepping || b.Step != step {
				t.Errorf("step %d: %v %d", step, b.Allocation, b.Step)
			}
		})
	}
}
