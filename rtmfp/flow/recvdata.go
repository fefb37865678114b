package flow

import (
	"errors"
	"slices"

	"pileus/rtmfp/wire"
)

// This file is the receiver's side of user data: sections 3.6.3.1 and 3.6.3.2.

func (m *Mux) receiveUserData(body []byte) {
	p := &m.shared.packet
	p.flow = nil
	c, err := wire.ParseUserData(body)
	if err != nil || c.Seq >= maxSeq {
		m.drop(DropMalformed)
		return
	}
	_, f := m.findRecv(c.Flow)
	if f == nil {
		if f = m.accept(c); f == nil {
			return
		}
	}
	p.flow, p.seq, p.forward = f, c.Seq, c.ForwardSeq()
	f.receive(chunk{
		seq: c.Seq, forward: c.ForwardSeq(), fra: c.Fragment,
		abandon: c.Abandon, final: c.Final, options: c.Options, data: c.Data,
	})
}

func (m *Mux) receiveNextUserData(body []byte) {
	p := &m.shared.packet
	f := p.flow
	if f == nil {
		m.drop(DropOrphan)
		return
	}
	c, err := wire.ParseNextUserData(body)
	p.seq++
	if err != nil || p.seq >= maxSeq {
		p.flow = nil
		m.drop(DropMalformed)
		return
	}
	f.receive(chunk{
		seq: p.seq, forward: p.forward, fra: c.Fragment,
		abandon: c.Abandon, final: c.Final, options: c.Options, data: c.Data,
	})
}

// accept starts a receiving flow (section 3.6.3.1). It returns nil if there are too
// many already or if the host aborted the Mux.
func (m *Mux) accept(c wire.UserData) *RecvFlow {
	if len(m.recv) >= int(m.maxFlows) {
		m.drop(DropTooManyFlows)
		return nil
	}
	if m.account.Ask(flowMemory+int64(len(c.Options)), beginning) != Granted {
		m.drop(DropMemory)
		return nil
	}
	f := &RecvFlow{mux: m, id: c.Flow, advertised: -1, capacity: DefaultCapacity}
	i, _ := m.findRecv(c.Flow)
	m.recv = slices.Insert(m.recv, i, f)
	f.book()
	m.pending.now = true
	m.owe(f)

	metadata, associated, ok := m.startupOptions(c.Options)
	if !ok {
		f.reject(0)
		return f
	}
	f.metadata = string(metadata)
	f.returnOf = associated
	accept, err := m.host.Incoming(f)
	switch {
	case m.err != nil:
		return nil
	case f.state != recvOpen: // rejected within the call
		return f
	}
	if err != nil || accept.Receiver == nil {
		var exception *Exception
		if errors.As(err, &exception) {
			f.reject(exception.Code)
		} else {
			f.reject(0)
		}
		return f
	}
	f.receiver, f.asReceived = accept.Receiver, accept.AsReceived
	if accept.Capacity != 0 {
		f.capacity = int32(min(max(accept.Capacity, 0), MaxCapacity))
	}
	return f
}

// startupOptions reads the options that open a flow. ok is false when the flow must
// be rejected: no metadata, more metadata than is kept, a return association that
// indicates no open flow or is a second one, or an unknown option below 8192.
func (m *Mux) startupOptions(list []byte) (metadata []byte, associated *SendFlow, ok bool) {
	for o := range wire.Options(list) {
		switch {
		case o.Type == wire.OptionMetadata:
			if len(o.Value) > maxFarMetadata {
				return nil, nil, false
			}
			metadata, ok = o.Value, true
		case o.Type == wire.OptionReturnAssociation:
			id, _, err := wire.ParseVLU(o.Value)
			if err != nil || associated != nil {
				return nil, nil, false
			}
			associated = m.findSend(id)
			if associated == nil || associated.state != sendOpen {
				return nil, nil, false
			}
		case o.Type < wire.FirstIgnorableOption:
			return nil, nil, false
		}
	}
	return metadata, associated, ok
}

func knownOptions(list []byte) bool {
	for o := range wire.Options(list) {
		if o.Type < wire.FirstIgnorableOption && o.Type != wire.OptionMetadata && o.Type != wire.OptionReturnAssociation {
			return false
		}
	}
	return true
}

// chunk is a User Data or Next User Data chunk of a known flow.
type chunk struct {
	seq, forward   uint64
	fra            wire.Fragment
	abandon, final bool
	options        []byte
	data           []byte
}

// receive does section 3.6.3.2. Its step numbers stand at the rules.
func (f *RecvFlow) receive(c chunk) {
	m := f.mux
	m.shared.packet.data = true
	m.owe(f) // 3
	if f.state == recvOpen && !knownOptions(c.options) {
		f.fail(ErrFarOption) // 4
	}
	duplicate := f.seen.contains(c.seq)
	if f.state != recvOpen || f.advertised >= 0 && f.advertised < 2 || c.abandon || f.seen.hasGaps() || duplicate {
		m.pending.now = true // 5 to 9
	}
	if duplicate && !c.abandon {
		m.drop(DropDuplicate)
	}
	take := !duplicate
	if take && f.finalSeq != 0 && c.seq > f.finalSeq {
		m.drop(DropBeyondFinal)
		take = false
	}
	if take {
		if reason, ok := f.admits(c); !ok {
			m.drop(reason)
			take = false
		}
	}
	f.seen.addThrough(c.forward) // 12
	if take && !f.seen.add(c.seq, maxGaps) {
		m.drop(DropGaps)
		take = false
	}
	if take && c.final && f.finalSeq == 0 { // 10
		f.finalSeq = c.seq
		m.pending.now = true
	}
	if f.seen.hasGaps() {
		m.pending.now = true // 14
	}
	if take && f.state == recvOpen && !c.abandon {
		f.take(c) // 11
	}
	if m.err != nil {
		return
	}
	f.deliver() // 16
	if m.err != nil {
		return
	}
	if f.state <= recvRejected && f.finalSeq != 0 && f.seen.cum >= f.finalSeq {
		f.complete()
		f.deliver()
		if m.err != nil {
			return
		}
	}
	f.book()
	if int(f.capacity) < int(f.held.bytes)+1024 {
		m.pending.now = true // section 3.6.3.4.1
	}
	if !m.pending.now && m.timers.ackAt == 0 {
		m.timers.ackAt = m.now().after(delayedAck) // 15
	}
}

// admits reports whether there is room for c's data, or why not. A chunk refused is not
// acknowledged, so its sender tries again. The next in sequence is let in, unless on
// hold: it completes a message or shows that the message is too large.
func (f *RecvFlow) admits(c chunk) (DropReason, bool) {
	if f.state != recvOpen || c.abandon || !f.hold && c.seq == f.seen.cum+1 {
		return 0, true
	}
	most := int(f.capacity) + int(f.mux.maxMessage) + receiveSlack
	if f.capacity < DefaultCapacity {
		most = int(f.capacity) + smallSlack
	}
	size := len(c.data) + fragmentOverhead
	switch {
	case int(f.held.bytes)+size > most:
		return DropBufferFull, false
	case f.mux.account.Ask(int64(size), refusable) != Granted:
		return DropMemory, false
	}
	return 0, true
}
