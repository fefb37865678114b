package peer

import (
	"io"
	"slices"
	"sync"

	"pileus/cmd/pileus/flv"
)

// sink writes tags to something that may be slow or stuck, on a goroutine of
// its own.
type sink struct {
	writer *flv.Writer
	events sinkEvents

	mu    sync.Mutex
	queue []flv.Tag
	size  int // bytes of data waiting or being written
	over  bool
	ended bool
	err   error // of writing; nothing more is taken then

	wake chan struct{}
	done chan struct{}
}

// sinkEvents is told, on the sink's goroutine, how it goes.
type sinkEvents interface {
	drained() // there is room again after push reported none
	failed()  // once, last: broken tells why
}

// Above sinkHigh bytes the stream is held back until sinkLow are left. The data
// that is then on its way still fits.
const (
	sinkHigh = 4 << 20
	sinkLow  = 1 << 20
)

func newSink(w io.Writer, e sinkEvents) *sink {
	s := &sink{writer: flv.NewWriter(w), events: e, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// push takes a copy of t and reports whether there is room for more.
func (s *sink) push(t flv.Tag) (room bool) {
	t.Data = slices.Clone(t.Data)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return true
	}
	s.queue = append(s.queue, t)
	s.size += len(t.Data)
	s.over = s.over || s.size > sinkHigh
	room = !s.over
	s.mu.Unlock()
	s.signal()
	return room
}

// end lets the sink finish; done is closed when everything is written, or could
// not be.
func (s *sink) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.signal()
}

func (s *sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *sink) run() {
	defer close(s.done)
	for range s.wake {
		for {
			queue, ended := s.take()
			if queue == nil {
				if ended {
					return
				}
				break
			}
			for _, t := range queue {
				if err := s.writer.Write(t); err != nil {
					s.lose(err)
					s.events.failed()
					return
				}
				s.wrote(len(t.Data))
			}
		}
	}
}

func (s *sink) take() (queue []flv.Tag, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, s.queue = s.queue, nil
	return queue, s.ended
}

func (s *sink) lose(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.queue = err, nil
}

// broken is why writing failed, if it did.
func (s *sink) broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *sink) wrote(n int) {
	s.mu.Lock()
	s.size -= n
	drained := s.over && s.size <= sinkLow
	if drained {
		s.over = false
	}
	s.mu.Unlock()
	if drained {
		s.events.drained()
	}
}
