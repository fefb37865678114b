package demo

import (
	"errors"
	"net/netip"
	"time"

	"pileus/natprobe/lab/memory"
	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// greeting is the stream that every peer publishes.
const greeting = "greeting"

// person is a peer: an unmodified client, but that it reports its name.
type person struct {
	role
	engine    *rtmfp.Engine
	inside    netip.AddrPort
	client    *netconn.Client
	stream    *netconn.Publication
	connected bool
	ended     error
}

func newPerson(n *memory.Network, s *memory.Site, r role, port uint16, node netip.AddrPort) (*person, error) {
	id, err := flash.NewIdentity(flash.IdentityOptions{})
	if err != nil {
		return nil, err
	}
	p := &person{role: r}
	p.engine, err = rtmfp.NewEngine(rtmfp.Config{Identity: id, Handler: p, SequentialIDs: true, KeyPool: -1}, n.Now())
	if err != nil {
		return nil, err
	}
	p.inside = s.Attach(p.engine, port)
	p.client, err = netconn.Dial(p.engine, netconn.ClientConfig{
		URI: "rtmfp://" + node.String() + "/demo", Addrs: []netip.AddrPort{node},
		Args: []amf.Value{amf.String(r.name)}, PeerInfo: []netip.AddrPort{p.inside},
	}, p)
	return p, err
}

func (p *person) id() flash.PeerID { return p.engine.Identity().PeerID() }

// Hello implements rtmfp.Handler: peers introduce nobody.
func (p *person) Hello(*rtmfp.Engine, rtmfp.Hello) {}

// Accept implements rtmfp.Handler.
func (p *person) Accept(s *rtmfp.Session) rtmfp.SessionHandler { return p.client.Accept(s) }

// Connected implements netconn.ClientHandler.
func (p *person) Connected(amf.Object) {
	p.connected = true
	p.stream, p.ended = p.client.Publish(greeting, netconn.PublishOptions{}, p)
}

func (p *person) Status(amf.Object)                {}
func (p *person) Command(netconn.Command) bool     { return true }
func (p *person) OnPeerConnect(*netconn.Peer) bool { return true }
func (p *person) Closed(err error)                 { p.ended = err }

// OnPlay gives everybody what there is of that name.
func (p *person) OnPlay(r *netconn.PlayRequest) {
	if stream := p.client.Publication(r.Name); stream != nil {
		r.Accept(stream)
	}
}

// Subscribed implements netconn.PublicationHandler: whoever plays is greeted.
func (p *person) Subscribed(*netconn.Peer) {
	p.ended = errors.Join(p.ended, p.stream.Send("onText", amf.String("hello from "+p.name)))
}
func (p *person) Unsubscribed(*netconn.Peer, error) {}
func (p *person) Writable()                         {}

// visit is one peer's way to another, as it goes.
type visit struct {
	from   *person
	stream *netconn.Subscription
	began  time.Time
	addr   netip.AddrPort // where the other was met
	took   time.Duration
	text   string // what the other said
	over   bool
}

// look asks the node for the ID of the peer of a name, then plays its stream.
func (p *person) look(name string) (*visit, error) {
	v := &visit{from: p}
	err := p.client.Call("presence.lookup", func(results amf.Args, err error) {
		if err == nil {
			err = v.call(results)
		}
		v.over = err != nil
	}, amf.String(name))
	return v, err
}

// call plays the stream of the peer that a lookup found.
func (v *visit) call(results amf.Args) error {
	info, _ := results.Object(0)
	id, err := flash.ParsePeerID(info.String("peerID"))
	if err != nil {
		return err
	}
	v.began = v.from.engine.Now()
	v.stream, err = v.from.client.Play(id, greeting, v)
	return err
}

// Status implements netconn.StreamHandler.
func (v *visit) Status(code string, _ amf.Object) {
	if code == netconn.StatusStreamSuccess && !v.addr.IsValid() {
		v.addr, v.took = v.stream.Peer().Session().Addr(), v.from.engine.Now().Sub(v.began)
	}
}

// Message implements netconn.StreamHandler.
func (v *visit) Message(m netconn.Message) {
	if values, err := m.Data(); err == nil {
		v.text, _ = values.String(1)
	}
}

// Closed implements netconn.StreamHandler.
func (v *visit) Closed(error) { v.over = true }

func (v *visit) done() bool { return v.over || v.text != "" }

// leave ends the visit.
func (v *visit) leave() {
	if v.stream != nil {
		v.stream.Close()
	}
}
