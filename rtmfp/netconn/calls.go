package netconn

import (
	"maps"
	"slices"

	"pileus/rtmfp/amf"
)

// Done takes the answer to a call: its results, or a *StatusError for an
// _error, or why the connection is over.
type Done func(results amf.Args, err error)

// calls are those that wait for an answer, by transaction ID.
type calls struct {
	last    float64
	waiting map[float64]Done
}

// begin keeps done for an answer with the returned transaction ID.
func (c *calls) begin(done Done) (transaction float64, err error) {
	if len(c.waiting) >= maxCalls {
		return 0, ErrTooMany
	}
	if c.waiting == nil {
		c.waiting = make(map[float64]Done)
	}
	c.last++
	c.waiting[c.last] = done
	return c.last, nil
}

// forget gives up a call that could not be sent.
func (c *calls) forget(transaction float64) { delete(c.waiting, transaction) }

// answer takes an _result or _error. It reports whether somebody waited for it.
func (c *calls) answer(r Command) bool {
	done, ok := c.waiting[r.Transaction]
	if !ok {
		return false
	}
	delete(c.waiting, r.Transaction)
	if r.Name == "_error" {
		done(nil, statusError(r))
	} else {
		done(r.Given(), nil)
	}
	return true
}

// fail ends all calls.
func (c *calls) fail(err error) {
	waiting := c.waiting
	c.waiting = nil
	for _, t := range slices.Sorted(maps.Keys(waiting)) {
		waiting[t](nil, err)
	}
}
