package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// handler is a runner as its engine sees it.
type handler runner

// Hello: whoever means somebody else is none of our business.
func (h *handler) Hello(*rtmfp.Engine, rtmfp.Hello) {}

func (h *handler) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if h.conn == nil {
		return nil
	}
	return h.conn.Accept(s)
}

func (r *runner) dial(servers []netip.AddrPort, sockets []rtmfp.Socket) {
	if r.ending {
		return
	}
	var err error
	r.conn, err = netconn.Dial(r.engine, netconn.ClientConfig{
		URI: r.cfg.Server, Addrs: servers, Retry: r.cfg.Retry, PeerInfo: reported(sockets, servers),
	}, (*client)(r))
	if err != nil {
		r.fail(err)
		return
	}
	r.patience = r.engine.After(r.cfg.Timeout, func() { r.fail(r.silent()) })
}

// silent says what the server left unanswered.
func (r *runner) silent() error {
	return &NoAnswerError{Server: r.server, After: r.cfg.Timeout, Opened: r.conn.Session().Open()}
}

// node is what the server is called.
func (r *runner) node() string { return "node " + r.server.String() }

// lost says why the NetConnection is over.
func (r *runner) lost(err error) error {
	if errors.Is(err, rtmfp.ErrNoAnswer) {
		return r.silent()
	}
	return why(r.node(), err)
}

// client is a runner as its NetConnection sees it.
type client runner

func (c *client) Connected(info amf.Object) {
	r := (*runner)(c)
	r.patience.Stop()
	s := r.conn.Session()
	text := "connected  to " + r.server.String()
	if at := s.Addr().String(); at != r.server.String() {
		text += " at " + at
	}
	text += ", " + rttText(s)
	args := []any{"address", s.Addr().String(), "rtt_ms", s.RTT()}
	if seen := clean(info.String("publicAddress")); seen != "" {
		text += ", which sees this peer at " + seen
		args = append(args, "public_address", seen)
	}
	r.report.event("connected", text, args...)
	r.meter.start(r)
	if d := r.cfg.Duration; d > 0 {
		r.engine.After(d, func() { r.interrupt(spell(d) + " are over") })
	}
	// No answer is wanted: a server that does not know it ignores it.
	_ = r.conn.Send("introduction.notify", amf.Boolean(true))
	if r.cfg.Name != "" {
		r.register(r.cfg.Name)
	}
	r.holders = make(map[string]flash.PeerID)
	for _, name := range r.cfg.Accept.names {
		r.expect(name)
	}
	if r.cfg.Publish != "" {
		r.publish()
	}
	if r.cfg.Play != nil && !r.ending {
		r.play()
	}
	if r.publisher == nil && r.player == nil {
		r.report.event("waiting", "waiting    for peers; Ctrl-C ends")
	}
}

func (c *client) Status(info amf.Object) {
	code, description := info.String("code"), info.String("description")
	if code == introducer.StatusFailed {
		advice := clean(info.String("advice"))
		c.report.event("introduction-failed", fmt.Sprintf("not met    %s %s", clean(description), advice),
			"reason", clean(info.String("reason")), "description", clean(description), "advice", advice, "peer_id", clean(info.String("peer")))
		return
	}
	c.report.event("status", fmt.Sprintf("node says  %s", describe(code, description)),
		"code", clean(code), "description", clean(description))
}

// Command knows the event of a name that is watched.
func (c *client) Command(cmd netconn.Command) bool {
	if cmd.Name != "onPresence" {
		return false
	}
	info, _ := cmd.Given().Object(0)
	(*runner)(c).heard(info)
	return true
}

func (c *client) OnPeerConnect(p *netconn.Peer) bool {
	r := (*runner)(c)
	if r.publisher == nil {
		return true // OnPlay says that there is nothing
	}
	return r.publisher.admits(p)
}

func (c *client) OnPlay(request *netconn.PlayRequest) {
	r := (*runner)(c)
	if r.publisher == nil || request.Name != r.cfg.Publish {
		r.report.event("not-found", fmt.Sprintf("%s asks for %q, which is not published here", who(request.Peer), clean(request.Name)),
			"peer_id", request.Peer.ID().String(), "name", clean(request.Name))
		request.NotFound()
		return
	}
	r.publisher.asked(request)
}

func (c *client) Closed(err error) {
	r := (*runner)(c)
	if r.patience != nil {
		r.patience.Stop()
	}
	if !r.ending {
		r.ending, r.outcome = true, r.lost(err)
	}
	close(r.over)
}

// who is what a peer is called.
func who(p *netconn.Peer) string {
	return fmt.Sprintf("peer %s at %v", short(p.ID()), p.Session().Addr())
}

// quiet tells, if it is worth a word, that the server has been silent lately:
// its end is often why a peer ends, and is noticed by one of them first.
func (r *runner) quiet() string {
	silence := r.engine.Now().Sub(r.conn.Session().Heard())
	if silence < noticeable {
		return ""
	}
	return fmt.Sprintf("; %s has been silent for %s", r.node(), spell(silence.Round(time.Second)))
}

// noticeable is longer than a node that lives is silent: it is asked every 15 s.
const noticeable = 20 * time.Second
