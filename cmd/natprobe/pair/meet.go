package pair

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"pileus/introducer"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// handler is a runner as its engine and its NetConnection see it.
type handler runner

// Hello: whoever means somebody else is none of our business.
func (h *handler) Hello(*rtmfp.Engine, rtmfp.Hello) {}

func (h *handler) Accept(s *rtmfp.Session) rtmfp.SessionHandler {
	if h.conn == nil {
		return nil
	}
	return h.conn.Accept(s)
}

func (h *handler) Connected(info amf.Object) {
	r := (*runner)(h)
	r.cfg.Server = r.conn.Session().Addr()
	r.report.Server = r.cfg.Server.String()
	r.report.Here.Public, _ = netip.ParseAddrPort(info.String("publicAddress"))
	// No answer is wanted: a server that does not know it ignores it.
	_ = r.conn.Send("introduction.notify", amf.Boolean(true))
	if r.cfg.First {
		r.register()
		return
	}
	r.lookUp()
}

func (h *handler) Status(info amf.Object) {
	r := (*runner)(h)
	switch info.String("code") {
	case "NetConnection.ConnectivityCheck.Results":
		r.classify(info)
	case introducer.StatusFailed:
		if r.calling {
			r.report.Reason, r.report.Advice = clean(info.String("description")), clean(info.String("advice"))
		}
	}
}

// classify takes the node's word on this host's network.
func (r *runner) classify(info amf.Object) {
	here := &r.report.Here
	if at, err := netip.ParseAddrPort(info.String("publicAddress")); err == nil {
		here.Public = at
	}
	here.Class, here.Advice = clean(info.String("natClass")), clean(info.String("advice"))
	here.Mapping, here.Filtering = clean(info.String("mapping")), clean(info.String("filtering"))
	r.classified = true
	if r.found {
		r.callPeer()
	}
}

func (h *handler) Command(netconn.Command) bool     { return false }
func (h *handler) OnPeerConnect(*netconn.Peer) bool { return true }

// OnPlay is the other side's call, and its answer to ours. Who does not know the
// name of the stream does not know the code.
func (h *handler) OnPlay(request *netconn.PlayRequest) {
	r := (*runner)(h)
	if r.ending || request.Name != r.stream || r.far != nil && r.far != request.Peer || r.far == nil && !r.cfg.First {
		request.Reject()
		return
	}
	if r.far == nil {
		// "One use": nobody else finds the name from now on.
		_ = r.conn.Send("presence.unregister", amf.String(r.name))
		if err := r.meet(request.Peer); err != nil {
			r.fail(err)
			return
		}
	}
	request.Accept(r.test.out)
}

func (h *handler) Closed(err error) {
	r := (*runner)(h)
	r.closed = true
	if !r.ending {
		switch {
		case errors.Is(err, rtmfp.ErrNoAnswer):
			err = r.silent()
		case r.test != nil:
			r.note("the connection to the node ended: " + err.Error())
			r.finish()
		default:
			err = fmt.Errorf("the node at %v: %w", r.cfg.Server, err)
		}
		r.fail(err)
	}
	r.done()
}

// register makes this side known under the code, and waits.
func (r *runner) register() {
	r.wait(r.limits.server, r.deaf)
	r.call("presence.register", amf.String(r.name), func(_ amf.Object, err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.cfg.Phase("waiting for the other side")
		r.cfg.Ready()
		r.wait(r.limits.code, func() {
			r.fail(fmt.Errorf("nobody came within %d minutes: the code is void", Lifetime/time.Minute))
		})
	})
}

// deaf ends a run at a server that let this host in, and answers no call.
func (r *runner) deaf() {
	r.fail(fmt.Errorf("%v does not answer calls: pair needs a pileus node", r.cfg.Server))
}

// lookUp finds the side that waits, and calls it when the node knows this host's
// NAT, too.
func (r *runner) lookUp() {
	r.cfg.Phase("looking for the other side")
	r.wait(r.limits.server, r.deaf)
	r.call("presence.lookup", amf.String(r.name), func(info amf.Object, err error) {
		var status *netconn.StatusError
		if errors.As(err, &status) && strings.HasSuffix(status.Code, ".NotFound") {
			err = fmt.Errorf("nobody waits with the code %v at %v: it was used already, is older than %d minutes, or the side that made it has left or asked another server", r.cfg.Code, r.cfg.Server, Lifetime/time.Minute)
		}
		if err == nil {
			r.target, err = flash.ParsePeerID(info.String("peerID"))
		}
		if err != nil {
			r.fail(err)
			return
		}
		r.found = true
		if r.classified || r.limits.settle == 0 {
			r.callPeer()
			return
		}
		r.cfg.Phase("the node finds out what the NAT of this host does")
		r.wait(r.limits.settle, r.callPeer)
	})
}

// callPeer calls the side that was found, once.
func (r *runner) callPeer() {
	if r.calling || r.ending {
		return
	}
	r.calling = true
	if err := r.dialPeer(r.target); err != nil {
		r.fail(err)
	}
}

// dialPeer calls the other side as applications do, by playing a stream.
func (r *runner) dialPeer(id flash.PeerID) error {
	r.cfg.Phase("the node introduces the two")
	r.called = r.engine.Now()
	r.report.There.ID = id.String()
	r.wait(r.limits.meet, func() { r.unmet(id) })
	if r.sockets != nil {
		r.engine.After(relayWithin, func() { r.unrelayed(id) })
	}
	_, err := r.conn.Play(id, r.stream, &inbound{r: r, id: id})
	return err
}

// unmet ends the run of a side that called in vain, and tells the node so, which
// makes its next plan better.
func (r *runner) unmet(id flash.PeerID) {
	if r.far != nil || r.ending {
		return
	}
	_ = r.conn.Send("introduction.report", amf.String(id.String()), amf.Boolean(false))
	missed := func() { r.missed(fmt.Sprintf("no session within %v", r.limits.meet)) }
	r.wait(r.limits.server, missed) // not every node can tell why
	r.explain(id, missed)
}

// met is called on the calling side when the session is there.
func (r *runner) met(p *netconn.Peer) error {
	r.report.Took = float64(r.engine.Now().Sub(r.called).Microseconds()) / 1000
	_ = r.conn.Send("introduction.report", amf.String(p.ID().String()), amf.Boolean(true), amf.Object{
		{Name: "ms", Value: amf.Number(r.report.Took)}, {Name: "address", Value: amf.String(p.Session().Addr().String())},
	})
	return r.meet(p)
}

// meet begins the measurement with the other side.
func (r *runner) meet(p *netconn.Peer) error {
	r.far = p
	r.cfg.Phase("met; telling each other what is known")
	r.report.There.ID = p.ID().String()
	r.report.Far, r.report.Path, r.report.Reason, r.report.Advice = p.Session().Addr(), Direct, "", ""
	test, err := newTest(r)
	if err != nil {
		return err
	}
	r.test = test
	r.wait(r.cfg.Time+testSlack, func() {
		r.note("the other side stopped answering")
		r.finish()
	})
	r.explain(p.ID(), func() {})
	if r.cfg.First {
		_, err = r.conn.Play(p.ID(), r.stream, &inbound{r: r, id: p.ID()})
	}
	return err
}

// explain asks the node how it planned this, and whether a relay stands for the
// other side. A node that cannot tell is judged by its address.
func (r *runner) explain(id flash.PeerID, then func()) {
	err := r.conn.Call("introduction.explain", func(results amf.Args, err error) {
		info, _ := results.Object(0)
		relay, bad := netip.ParseAddrPort(info.String("relay"))
		if err == nil && !r.ending {
			r.report.Strategy, r.report.Reason = clean(info.String("strategy")), clean(info.String("reason"))
			r.relayAt = relay
		}
		if r.far != nil {
			far := r.far.Session().Addr()
			relayed := bad == nil && far == relay
			if err != nil {
				relayed = far.Addr() == r.cfg.Server.Addr() && !r.cfg.Server.Addr().IsLoopback()
			}
			r.report.Far = far
			if relayed {
				r.report.Path = Relayed
			}
		}
		then()
	}, amf.String(id.String()))
	if err != nil {
		then()
	}
}

// call calls a command of the node; done takes the one result, or an error for
// people.
func (r *runner) call(command string, arg amf.Value, done func(amf.Object, error)) {
	err := r.conn.Call(command, func(results amf.Args, err error) {
		if r.ending {
			return
		}
		if status, ok := errors.AsType[*netconn.StatusError](err); ok {
			if status.Code == netconn.StatusCallFailed {
				err = fmt.Errorf("%v knows no names of peers: pair needs a pileus node", r.cfg.Server)
			} else if !strings.HasSuffix(status.Code, ".NotFound") {
				err = fmt.Errorf("%v refuses: %s", r.cfg.Server, clean(status.Description))
			}
		}
		info, _ := results.Object(0)
		done(info, err)
	}, arg)
	if err != nil {
		r.fail(err)
	}
}

// maxWords bounds what is shown of a far end's words, in bytes.
const maxWords = 300

// clean makes a far end's words fit for a terminal.
func clean(s string) string {
	if len(s) > maxWords {
		s = s[:maxWords]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// seconds is a number of seconds that a far end tells, within bounds.
func seconds(f float64, most time.Duration) time.Duration {
	if !(f >= 0) || f > most.Seconds() { // not a number is no length either
		return 0
	}
	return time.Duration(f * float64(time.Second))
}
