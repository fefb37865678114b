package flow

// Receipt follows one message given to Write.
type Receipt struct {
	msg *message
}

// Abandon gives the message up: what of it has not been sent will not be, and what
// is lost stays lost (section 3.6.2.7). The far end may have all of it nevertheless.
func (r *Receipt) Abandon() {
	if g := r.msg; g != nil && g.left > 0 && g.flow.state < sendLingering {
		f := g.flow
		f.abandonMessage(g)
		f.update()
		f.mux.host.Wake()
	}
}

// Delivered reports whether the far end has acknowledged the whole message.
func (r *Receipt) Delivered() bool {
	return r.msg != nil && r.msg.left == 0 && !r.msg.abandoned
}

// Abandoned reports whether the message was given up.
func (r *Receipt) Abandoned() bool { return r.msg != nil && r.msg.abandoned }

// Abandon gives up all messages that are queued and not yet acknowledged.
func (f *SendFlow) Abandon() {
	if f.state >= sendLingering {
		return
	}
	f.abandonAll()
	f.update()
	f.mux.host.Wake()
}

func (f *SendFlow) abandonAll() {
	for e := f.queue.head; e != nil; {
		e = f.abandonAt(e)
	}
}

// abandonAt abandons e's message and returns the next fragment of another one.
func (f *SendFlow) abandonAt(e *fragment) (next *fragment) {
	g := e.msg
	for next = e.next; next != nil && next.msg == g; {
		next = next.next
	}
	if !g.abandoned {
		f.abandonMessage(g)
	}
	return next
}

func (f *SendFlow) abandonMessage(g *message) {
	if g.startBy != 0 || g.finishBy != 0 {
		f.timed--
	}
	g.abandoned = true
	f.queue.empty(g)
	f.mux.shared.Stats.MessagesAbandoned++
	g.fragments(func(e *fragment) bool {
		if e.queued {
			e.abandoned = true
			if !e.inFlight && e.seq != f.finalSeq {
				f.giveUp(e)
			}
		}
		return true
	})
}

// giveUp removes an abandoned fragment that is not in flight.
func (f *SendFlow) giveUp(e *fragment) {
	f.gap = max(f.gap, e.seq)
	f.queue.remove(e)
}

func (f *SendFlow) setDeadlines(g *message, o WriteOptions) {
	if o.StartBy <= 0 && o.FinishBy <= 0 {
		return
	}
	f.timed++
	now := f.mux.now()
	if o.StartBy > 0 {
		g.startBy = now.after(o.StartBy)
	}
	if o.FinishBy > 0 {
		g.finishBy = now.after(o.FinishBy)
	}
	f.mux.timers.alarm(g.startBy.earlier(g.finishBy))
}

// advanceMessages abandons messages whose time is over and sets the alarm for the
// others.
func (f *SendFlow) advanceMessages(now instant) {
	if f.timed == 0 {
		return
	}
	for e := f.queue.head; e != nil; {
		g := e.msg
		if g.expired(now) {
			e = f.abandonAt(e)
			continue
		}
		if !g.abandoned {
			if !g.started {
				f.mux.timers.alarm(g.startBy)
			}
			f.mux.timers.alarm(g.finishBy)
		}
		e = e.next
	}
}

// forward returns the forward sequence number (section 3.6.2.3): the far end will
// get nothing up to it any more.
func (f *SendFlow) forward() uint64 {
	e := f.queue.head
	switch {
	case e == nil:
		return min(f.gap, f.topSent)
	case e.abandoned && (!e.inFlight || e.sentAbandoned):
		return e.seq
	}
	return e.seq - 1
}

// settleForward queues a Forward Sequence Number Update (section 3.6.2.7.1) when the
// far end may have gaps up to the forward sequence number and nothing else is going
// to tell it. The method of section 3.6.2.3 alone forgets a gap whose abandoned
// entry is trimmed while later fragments are in flight.
func (f *SendFlow) settleForward() {
	if f.queue.resend > 0 || f.queue.unsent != nil {
		return // what is sent next tells
	}
	forward := f.forward()
	if f.queue.head != nil && f.queue.head.seq == forward {
		return // it is being told
	}
	if min(f.gap, f.topSent) > f.cumAcked && (forward > f.told || f.outstanding == 0) {
		f.queue.pushFront(f.newMarker(forward))
	}
}
