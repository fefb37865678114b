package rtmfp

import (
	"net/netip"

	"pileus/rtmfp/share"
)

// jobQueue has public-key work wait for whoever does it. This end's own comes first. What
// strangers ask for goes round by prefix.
type jobQueue struct {
	own    []*Job
	others share.Queue[*Job]
}

// strained reports whether more than half of the places for strangers are taken.
func (q *jobQueue) strained() bool { return q.others.Len() > maxKeyings/2 }

// ask queues a job that a stranger at addr wants done. If there are too many, the latest
// of whoever has most gives way, which may be j.
func (q *jobQueue) ask(addr netip.Addr, j *Job) {
	q.others.Add(addr, j)
	if q.others.Len() > maxKeyings {
		most := q.others.Longest()
		q.others.Remove(most)
		most.Value.cancel()
	}
}

// next takes out the job whose turn it is; nil if there is none.
func (q *jobQueue) next() (j *Job) {
	if len(q.own) > 0 {
		j, q.own[0] = q.own[0], nil
		if q.own = q.own[1:]; len(q.own) == 0 {
			q.own = nil
		}
		return j
	}
	if w := q.others.Next(); w != nil {
		return w.Value
	}
	return nil
}
