package peer

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// questions has somebody decide who may play, one after the other. A decision
// holds for the run.
type questions struct {
	publisher *publisher
	open      []*netconn.PlayRequest
	decided   map[flash.PeerID]bool
	nobody    bool // is there to answer any more
}

const (
	maxQuestions = 16   // that wait
	maxDecisions = 1024 // that are remembered
)

func (q *questions) ask(request *netconn.PlayRequest) {
	accept, known := q.decided[request.Peer.ID()]
	switch {
	case known:
		q.act(request, accept)
	case q.nobody, len(q.open) >= maxQuestions:
		q.act(request, false)
	default:
		q.open = append(q.open, request)
		request.Asked()
		if len(q.open) == 1 {
			q.prompt()
		}
	}
}

func (q *questions) act(request *netconn.PlayRequest, accept bool) {
	if accept {
		request.Accept(q.publisher.stream)
		return
	}
	q.publisher.refuse(request.Peer)
	request.Reject()
}

func (q *questions) prompt() {
	for len(q.open) > 0 && !q.open[0].Peer.Open() {
		q.open = q.open[1:] // it did not wait
	}
	if len(q.open) == 0 {
		return
	}
	p := q.open[0].Peer
	q.publisher.r.report.event("ask", fmt.Sprintf("%s wants to play %q. Accept it? Type y or n:\n  %s",
		who(p), q.publisher.stream.Name(), p.ID()),
		"peer_id", p.ID().String(), "address", p.Session().Addr().String(), "name", q.publisher.stream.Name())
}

// answer decides the oldest question.
func (q *questions) answer(accept bool) {
	if len(q.open) == 0 {
		return
	}
	request := q.open[0]
	q.open = q.open[1:]
	if q.decided == nil {
		q.decided = make(map[flash.PeerID]bool)
	}
	if len(q.decided) < maxDecisions {
		q.decided[request.Peer.ID()] = accept
	}
	q.act(request, accept)
	q.prompt()
}

// read takes answers, on a goroutine of its own. After the last one the answer
// is no.
func (q *questions) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		switch strings.ToLower(strings.TrimSpace(lines.Text())) {
		case "y", "yes":
			q.publisher.r.do(func() { q.answer(true) })
		case "n", "no":
			q.publisher.r.do(func() { q.answer(false) })
		default:
			q.publisher.r.do(q.prompt)
		}
	}
	q.publisher.r.do(func() {
		q.nobody = true
		for len(q.open) > 0 {
			q.answer(false)
		}
	})
}
