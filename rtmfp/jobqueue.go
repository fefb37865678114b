package rtmfp

import (
	"net/netip"
	"time"

	"pileus/rtmfp/share"
	"pileus/rtmfp/udp"
)

// jobQueue has public-key work wait for whoever does it. This end's own comes first. What
// strangers ask for goes round by prefix.
type jobQueue struct {
	own    []*Job
	others share.Queue[*Job]
	// first are those of others whose prefix has asked for nothing lately. They go ahead:
	// whoever floods, from however many networks, is known after its first.
	first share.Queue[*Job]
	asked *share.Cache[netip.Prefix, time.Time]
	turns int
}

const (
	// lately is how long a prefix is known to have asked.
	lately   = 30 * time.Second
	maxAsked = 1 << 13 // prefixes that are known so; some 4 MiB
	askedOf  = 10      // percent of them that a wide prefix may have
	// roundEvery is how many turns bring one to those that wait behind the first.
	roundEvery = 4
)

// strained reports whether more than half of the places for strangers are taken.
func (q *jobQueue) strained() bool { return q.others.Len() > maxKeyings/2 }

// ask queues a job that a stranger at addr wants done. If there are too many, the latest
// of whoever has most gives way, which may be j.
func (q *jobQueue) ask(now time.Time, addr netip.Addr, j *Job) {
	waits := q.others.Len() > 0 // else it has its turn at once
	j.place = q.others.Add(addr, j)
	if waits && q.isFirst(now, addr) {
		j.ahead = q.first.Add(addr, j)
	}
	if q.others.Len() > maxKeyings {
		most := q.others.Longest().Value
		q.remove(most)
		most.cancel()
	}
}

// isFirst reports whether nobody of addr's prefix has asked lately, and notes that one has.
func (q *jobQueue) isFirst(now time.Time, addr netip.Addr) bool {
	if q.asked == nil {
		q.asked = share.NewCache[netip.Prefix, time.Time](maxAsked, 0, askedOf)
	}
	prefix := udp.Prefix(addr)
	at, known := q.asked.Get(prefix)
	q.asked.Put(prefix, now, addr)
	return !known || now.Sub(at) > lately
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
	var w *share.Waiting[*Job]
	if q.turns++; q.turns%roundEvery != 0 {
		w = q.first.Next()
	}
	if w == nil {
		w = q.others.Next()
	}
	if w == nil {
		return nil
	}
	q.remove(w.Value)
	return w.Value
}

func (q *jobQueue) remove(j *Job) {
	q.others.Remove(j.place)
	if j.ahead != nil {
		q.first.Remove(j.ahead)
	}
}
