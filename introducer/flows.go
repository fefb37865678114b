package introducer

import (
	"time"

	"pileus/introducer/pairing"
	"pileus/rtmfp"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// firstFlowTimeout is how long a session to a node in front of cores may have no
// flow: it is not known yet what it is.
const firstFlowTimeout = 60 * time.Second

// sessionFlows tells a session's flows apart: those by which core servers register
// and clients join groups, and all others, which are its NetConnection's.
type sessionFlows struct {
	node    *Node
	session *rtmfp.Session
	conn    rtmfp.SessionHandler // nil: a core, or nothing was said yet
	core    *coreLink            // nil: no core
	timer   *rtmfp.Timer
}

// Accept implements rtmfp.Handler.
func (n *Node) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	h := &sessionFlows{node: n, session: s}
	if n.cfg.Cores == nil {
		h.netConnection()
		return h
	}
	h.timer = s.Engine().After(firstFlowTimeout, func() {
		if h.conn == nil && h.core == nil {
			s.CloseError(netconn.ErrNoConnect)
		}
	})
	return h
}

func (h *sessionFlows) netConnection() {
	h.conn = h.node.server.Accept(h.session)
	h.conn.Opened(h.session)
	h.node.arm(h.session.Engine())
}

func (h *sessionFlows) Opened(*rtmfp.Session) {}

func (h *sessionFlows) Incoming(s *rtmfp.Session, f *flow.RecvFlow) (flow.Accept, error) {
	switch {
	case pairing.IsRedirector(f.Metadata()):
		return h.register(f)
	case isGroup(f.Metadata()):
		return h.node.joins(s, f)
	case h.core != nil:
		return flow.Accept{}, &flow.Exception{}
	case h.conn == nil:
		h.netConnection()
	}
	return h.conn.Incoming(s, f)
}

func (h *sessionFlows) Moved(s *rtmfp.Session) {
	if h.core != nil {
		h.core.observed()
	}
	if h.conn != nil {
		h.conn.Moved(s)
	}
}

func (h *sessionFlows) Closed(s *rtmfp.Session, err error) {
	if h.timer != nil {
		h.timer.Stop()
	}
	if h.core != nil {
		h.core.gone()
	}
	if h.conn != nil {
		h.conn.Closed(s, err)
	}
}
