package introducer

import (
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

// timelineLife ends a timeline that somebody forgot: few peers can be watched at
// once.
const timelineLife = 10 * time.Minute

// TimelineInfo is what a timeline holds at one instant.
type TimelineInfo struct {
	Until   time.Time // packets are noted until then
	Records []rtmfp.PacketRecord
	Total   uint64 // packets noted, those that are kept no more included
}

// watched is a peer whose packets are noted. It outlasts the peer's session, and
// goes on with its next one.
type watched struct {
	timeline *rtmfp.Timeline
	until    time.Time
	timer    *rtmfp.Timer
}

func (w *watched) info() TimelineInfo {
	i := TimelineInfo{Until: w.until}
	i.Records, i.Total = w.timeline.Records()
	return i
}

// Watch notes a peer's packets from now on, or goes on noting them, for ten
// minutes. The error is ErrNoPeer or rtmfp.ErrTimelines.
func (n *Node) Watch(e *rtmfp.Engine, id flash.PeerID) (TimelineInfo, error) {
	w := n.timelines[id]
	if w == nil {
		p := n.peers[id]
		if p == nil {
			return TimelineInfo{}, ErrNoPeer
		}
		l, err := e.Watch(p.session)
		if err != nil {
			return TimelineInfo{}, err
		}
		w = &watched{timeline: l}
		n.timelines[id] = w
	} else {
		w.timer.Stop()
	}
	w.until = e.Now().Add(timelineLife)
	w.timer = e.After(timelineLife, func() { n.Unwatch(e, id) })
	return w.info(), nil
}

// Timeline tells what was noted of a peer that is, or was, watched.
func (n *Node) Timeline(id flash.PeerID) (i TimelineInfo, found bool) {
	w := n.timelines[id]
	if w == nil {
		return i, false
	}
	return w.info(), true
}

// Unwatch ends and forgets a timeline.
func (n *Node) Unwatch(e *rtmfp.Engine, id flash.PeerID) (found bool) {
	w := n.timelines[id]
	if w == nil {
		return false
	}
	w.timer.Stop()
	e.Unwatch(w.timeline)
	delete(n.timelines, id)
	return true
}
