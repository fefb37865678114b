package main

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
	"pileus/rtmfp/udp"
)

// A crowd is many clients of one node, each with an identity and a socket of its
// own, which one goroutine drives: endpoints of their own would cost a small
// machine more than the node does.
type crowd struct {
	t       *testing.T
	uri     string
	node    netip.AddrPort
	members []*member
	inlet   udp.Inlet
	calls   chan func()
	quit    chan struct{}
	served  sync.WaitGroup
}

// member is one client of a crowd. Its methods run on the crowd's goroutine.
type member struct {
	conn      *udp.Conn
	engine    *rtmfp.Engine
	client    *netconn.Client
	connected bool
	answered  int // calls
	err       error
}

func (m *member) Connected(amf.Object)           { m.connected = true }
func (m *member) Closed(err error)               { m.connected, m.err = false, err }
func (*member) Status(amf.Object)                {}
func (*member) Command(netconn.Command) bool     { return true }
func (*member) OnPeerConnect(*netconn.Peer) bool { return false }
func (*member) OnPlay(*netconn.PlayRequest)      {}

// crowdBuffer is what a member's socket may hold, in bytes: it gets answers alone.
const crowdBuffer = 64 << 10

// newCrowd makes n clients of the node at an address, which do nothing so far.
func newCrowd(t *testing.T, n int, node netip.AddrPort) *crowd {
	t.Helper()
	c := &crowd{t: t, uri: "rtmfp://" + node.String() + "/app", node: node, calls: make(chan func()), quit: make(chan struct{})}
	sockets := make([]udp.Socket, 0, n)
	for range n {
		id, err := flash.NewIdentity(flash.IdentityOptions{})
		if err != nil {
			t.Fatal(err)
		}
		m := &member{}
		if m.conn, err = udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), udp.Options{ReceiveBuffer: crowdBuffer, SendBuffer: crowdBuffer}); err != nil {
			t.Fatal(err)
		}
		if m.engine, err = rtmfp.NewEngine(rtmfp.Config{Identity: id, Handler: nobody{}, KeyPool: -1}, time.Now()); err != nil {
			t.Fatal(err)
		}
		c.members, sockets = append(c.members, m), append(sockets, m.conn)
	}
	var err error
	if c.inlet, err = udp.NewInlet(sockets, rtmfp.MaxReceive); err != nil {
		t.Fatal(err)
	}
	c.served.Go(c.serve)
	t.Cleanup(c.close)
	return c
}

func (c *crowd) close() {
	close(c.quit)
	c.inlet.Wake()
	c.served.Wait()
	for _, m := range c.members {
		_ = m.conn.Close()
	}
	c.inlet.Close()
}

func (c *crowd) serve() {
	const look = 20 * time.Millisecond // at timers
	for {
		if err := c.inlet.Wait(look, func(i int, batch []udp.Datagram) {
			m, now := c.members[i], time.Now()
			for _, d := range batch {
				m.engine.Receive(now, rtmfp.Datagram{Local: m.conn.LocalAddr(), Peer: d.Peer, TOS: d.TOS, Data: d.Data})
			}
		}); err != nil {
			return
		}
		select {
		case f := <-c.calls:
			f()
		case <-c.quit:
			return
		default:
		}
		for _, m := range c.members {
			m.turn()
		}
	}
}

// turn does what is due.
func (m *member) turn() {
	now := time.Now()
	if at := m.engine.Deadline(); !at.IsZero() && !now.Before(at) {
		m.engine.Advance(now)
	}
	for _, j := range m.engine.TakeJobs() {
		j.Run()
		m.engine.Finish(now, j)
	}
	m.engine.Flush(func(out []rtmfp.Datagram) {
		for i := range out {
			_, _ = m.conn.WriteBatch([]udp.Datagram{{Peer: out[i].Peer, TOS: out[i].TOS, Data: out[i].Data}})
		}
	})
}

// do runs f on the crowd's goroutine.
func (c *crowd) do(f func()) {
	done := make(chan struct{})
	call := func() { f(); close(done) }
	for {
		c.inlet.Wake()
		select {
		case c.calls <- call:
			<-done
			return
		case <-time.After(time.Millisecond): // it was between a wait and its look
		}
	}
}

// all waits until something holds for every member.
func (c *crowd) all(what string, is func(*member) bool) {
	c.t.Helper()
	var not int
	var why error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		c.do(func() {
			not = 0
			for _, m := range c.members {
				if !is(m) {
					not, why = not+1, m.err
				}
			}
		})
		if not == 0 {
			return
		}
	}
	c.t.Fatalf("%s: not so of %d of %d clients (%v)", what, not, len(c.members), why)
}

// connect connects all, some at a time: a burst beyond the node's queues would
// cost seconds until clients try again.
func (c *crowd) connect() {
	c.t.Helper()
	const atOnce = 50
	for i := 0; i < len(c.members); i += atOnce {
		some := c.members[i:min(i+atOnce, len(c.members))]
		c.do(func() {
			for _, m := range some {
				m.client, m.err = netconn.Dial(m.engine, netconn.ClientConfig{URI: c.uri, Addrs: []netip.AddrPort{c.node}}, m)
			}
		})
		c.all("connected", func(m *member) bool { return m.client == nil || m.connected })
	}
}

// alive wants an answer to a call from every member's session, which is that of
// the beginning.
func (c *crowd) alive(when string) {
	c.t.Helper()
	c.do(func() {
		for _, m := range c.members {
			m.answered = 0
			m.err = m.client.Call("presence.lookup", func(amf.Args, error) { m.answered++ }, amf.String("nobody"))
		}
	})
	c.all(fmt.Sprintf("answered %s", when), func(m *member) bool { return m.connected && m.answered == 1 })
}

// sendHangup signals this process as operators do.
func sendHangup() error {
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return p.Signal(syscall.SIGHUP)
}
