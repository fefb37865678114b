package prober

import (
	"context"
	"time"

	"pileus/natprobe/binding"
	"pileus/natprobe/report"
	"pileus/rtmfp/udp"
)

// tested are the TOS bytes that matter: ECN's code points (RFC 3168), and those of
// DSCP that media is sent with (RFC 4594), one with ECN beside it.
var tested = []report.Mark{
	{Name: "ECT(0)", Sent: 0x02},
	{Name: "ECT(1)", Sent: 0x01},
	{Name: "CE", Sent: 0x03},
	{Name: "EF", Sent: 0xb8},
	{Name: "AF41", Sent: 0x88},
	{Name: "CS1", Sent: 0x20},
	{Name: "AF41+ECT(0)", Sent: 0x8a},
}

const (
	markTries = 4 // each way; every try is sent, to see marks that only some packets keep
	markPace  = 15 * time.Millisecond
	markWait  = time.Second
)

// marks sends packets with each TOS byte and asks for answers with the same. It
// takes a server that knows PATH-TEST.
func (d *depth) marks(ctx context.Context) {
	if d.OpenTOS == nil || !udp.CarriesTOS {
		d.note("ECN and DSCP: this system does not tell what arrives")
		return
	}
	conn, err := d.OpenTOS()
	if err != nil {
		d.note("ECN and DSCP: " + err.Error())
		return
	}
	m := marker{depth: d, conn: conn, sent: make(map[binding.Transaction]int), got: make(chan udp.Datagram, len(tested)*markTries*2)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.read()
	}()
	m.run(ctx)
	_ = conn.Close()
	<-done
}

type marker struct {
	*depth
	conn *udp.Conn
	sent map[binding.Transaction]int // to the index of its mark
	got  chan udp.Datagram
}

func (m *marker) read() {
	batch := []udp.Datagram{{Data: make([]byte, 2048)}}
	for {
		batch[0].Data = batch[0].Data[:cap(batch[0].Data)]
		n, err := m.conn.ReadBatch(batch)
		if err != nil {
			return
		}
		for _, d := range batch[:n] {
			d.Data = append([]byte(nil), d.Data...)
			select {
			case m.got <- d:
			default: // nobody sent that many
			}
		}
	}
}

func (m *marker) run(ctx context.Context) {
	found := make([]report.Mark, len(tested))
	copy(found, tested)
	answers, told := 0, false
	take := func(d udp.Datagram) {
		i, path, ok := m.answerOf(d)
		if !ok {
			return
		}
		answers++
		if path == nil {
			return
		}
		told = true
		add(&found[i].Out, path.TOS)
		add(&found[i].In, d.TOS)
	}
	for try := range markTries {
		for i := range found {
			m.send(i, try)
			found[i].Tries++
			m.await(ctx, markPace, take)
		}
	}
	m.await(ctx, markWait, take)
	switch {
	case told:
		m.set(func(out *report.Depth) { out.Marks = found })
	case answers > 0:
		m.note("ECN and DSCP: the server does not tell what arrives; a pileus node or natprobe serve does")
	}
}

func add(counts *map[uint8]int, tos uint8) {
	if *counts == nil {
		*counts = make(map[uint8]int)
	}
	(*counts)[tos]++
}

func (m *marker) send(i, try int) {
	request := binding.Request{Transaction: transaction(), Path: &binding.PathTest{TOS: tested[i].Sent}, Size: fillTo}
	m.sent[request.Transaction] = i
	data := request.Append(nil)
	_, _ = m.conn.WriteBatch([]udp.Datagram{{Peer: m.target, TOS: tested[i].Sent, Data: data}}) // a failure is a loss
	m.event(report.Event{
		At: time.Now(), Local: m.conn.LocalAddr(), Peer: m.target, Sent: true, Bytes: len(data),
		Text: "Binding marked " + tested[i].Name + ": answer with the same, and say what arrived" + nth(try),
	})
}

func (m *marker) answerOf(d udp.Datagram) (i int, path *binding.PathResult, ok bool) {
	if !binding.IsMessage(d.Data) || d.Peer != m.target {
		return 0, nil, false
	}
	i, ok = m.sent[binding.TransactionOf(d.Data)]
	a, err := binding.ParseAnswer(d.Data)
	if !ok || err != nil {
		return 0, nil, false
	}
	delete(m.sent, binding.TransactionOf(d.Data))
	m.event(report.Event{
		At: time.Now(), Local: m.conn.LocalAddr(), Peer: d.Peer, Bytes: len(d.Data), Text: binding.Describe(d.Data),
	})
	return i, a.Path, true
}

// await hands on what arrives within a time.
func (m *marker) await(ctx context.Context, wait time.Duration, take func(udp.Datagram)) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case d := <-m.got:
			take(d)
			if len(m.sent) == 0 {
				return
			}
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (d *depth) event(e report.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Trace != nil {
		d.Trace(e)
	}
}
