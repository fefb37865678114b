package rtmfp

import (
	"net/netip"
	"time"

	"pileus/rtmfp/share"
)

// A Job is public-key work of one handshake. Run may be called on any
// goroutine; [Engine.Finish] then takes it back.
type Job struct {
	work   func()
	done   func()
	cancel func() // it gave way to others and never runs

	place, ahead *share.Waiting[*Job] // in the jobQueue; ahead may be nil
}

// Run does the work.
func (j *Job) Run() { j.work() }

// NextJob hands over the job whose turn it is, or nil. Jobs wait in the engine for
// as long as nobody can do them, since only there they are shared out fairly.
func (e *Engine) NextJob() *Job { return e.jobs.next() }

// TakeJobs hands over all jobs, in the order of their turns.
func (e *Engine) TakeJobs() []*Job {
	var list []*Job
	for j := e.NextJob(); j != nil; j = e.NextJob() {
		list = append(list, j)
	}
	return list
}

// Finish takes back a job that ran.
func (e *Engine) Finish(now time.Time, j *Job) {
	e.now = now
	j.done()
}

// do queues work for this end's own purposes; maxOpenings bounds it.
func (e *Engine) do(work, done func()) {
	e.jobs.own = append(e.jobs.own, &Job{work: work, done: done})
}

// doFor queues work for a stranger.
func (e *Engine) doFor(addr netip.Addr, work, done, cancel func()) {
	e.jobs.ask(e.now, addr, &Job{work: work, done: done, cancel: cancel})
}
