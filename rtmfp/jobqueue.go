package rtmfp

import (
	"net/netip"
	"slices"

	"pileus/rtmfp/udp"
)

// jobQueue has public-key work wait for whoever does it. This end's own comes first.
// What strangers ask for goes round: a turn for each wide prefix, in that a turn for
// each prefix, and in that by age. So whoever floods from however many addresses of one
// network has others wait for one turn.
type jobQueue struct {
	own      []*Job
	root     branch
	branches map[branchKey]*branch // those with something to do
}

type branchKey struct {
	of     *branch
	prefix netip.Prefix
}

// branch is the jobs of one prefix: in the branches of a wide one, by age in others.
type branch struct {
	branchKey
	turns []*branch // the first is next
	jobs  []*Job    // the first is the oldest
	n     int       // jobs below
}

// strained reports whether more than half of the places for strangers are taken.
func (q *jobQueue) strained() bool { return q.root.n > maxKeyings/2 }

// ask queues a job that a stranger at addr wants done. If there are too many, the latest
// of whoever has most gives way, which may be j.
func (q *jobQueue) ask(addr netip.Addr, j *Job) {
	wide := q.branch(&q.root, udp.WidePrefix(addr))
	b := q.branch(wide, udp.Prefix(addr))
	b.jobs = append(b.jobs, j)
	for ; b != nil; b = b.of {
		if b.n++; b.n == 1 && b.of != nil {
			b.of.turns = append(b.of.turns, b)
		}
	}
	if q.root.n > maxKeyings {
		q.dropLatest()
	}
}

func (q *jobQueue) branch(of *branch, prefix netip.Prefix) *branch {
	key := branchKey{of, prefix}
	b := q.branches[key]
	if b == nil {
		b = &branch{branchKey: key}
		if q.branches == nil {
			q.branches = make(map[branchKey]*branch)
		}
		q.branches[key] = b
	}
	return b
}

// next takes out the job whose turn it is; nil if there is none.
func (q *jobQueue) next() *Job {
	var j *Job
	if len(q.own) > 0 {
		j, q.own = takeFirst(q.own)
		return j
	}
	if q.root.n == 0 {
		return nil
	}
	wide, turns := takeFirst(q.root.turns)
	q.root.turns = turns
	b, turns := takeFirst(wide.turns)
	wide.turns = turns
	j, b.jobs = takeFirst(b.jobs)
	for at := b; at != nil; at = at.of {
		at.n--
		if at.of != nil && at.n > 0 {
			at.of.turns = append(at.of.turns, at)
		}
	}
	q.prune(b)
	return j
}

// dropLatest drops the latest job of the prefix with most of them, in the wide prefix
// with most of them.
func (q *jobQueue) dropLatest() {
	b := q.root.longest().longest()
	last := len(b.jobs) - 1
	j := b.jobs[last]
	b.jobs[last], b.jobs = nil, b.jobs[:last]
	for at := b; at != nil; at = at.of {
		if at.n--; at.n == 0 && at.of != nil {
			at.of.turns = slices.DeleteFunc(at.of.turns, func(c *branch) bool { return c == at })
		}
	}
	q.prune(b)
	j.cancel()
}

// longest is the branch with most jobs; of equals the one whose turn is last.
func (b *branch) longest() *branch {
	most := b.turns[0]
	for _, c := range b.turns[1:] {
		if c.n >= most.n {
			most = c
		}
	}
	return most
}

// prune forgets branches with nothing to do.
func (q *jobQueue) prune(b *branch) {
	for ; b.n == 0 && b.of != nil; b = b.of {
		delete(q.branches, b.branchKey)
	}
}

func takeFirst[T any](list []*T) (first *T, rest []*T) {
	first, list[0] = list[0], nil
	if len(list) == 1 {
		return first, nil
	}
	return first, list[1:]
}
