package introducer

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// deaf is a client that connects and has no room for what it is sent.
type deaf struct {
	engine *rtmfp.Engine
	closed error
}

func (*deaf) Hello(*rtmfp.Engine, rtmfp.Hello)           {}
func (*deaf) Accept(*rtmfp.Session) rtmfp.SessionHandler { return nil }
func (*deaf) Moved(*rtmfp.Session)                       {}
func (d *deaf) Closed(_ *rtmfp.Session, err error)       { d.closed = err }
func (*deaf) Message(*flow.RecvFlow, []byte)             {}
func (*deaf) Ended(*flow.RecvFlow, error)                {}
func (d *deaf) Incoming(*rtmfp.Session, *flow.RecvFlow) (flow.Accept, error) {
	return flow.Accept{Receiver: d, Capacity: -1}, nil
}

func (d *deaf) Opened(s *rtmfp.Session) {
	s.SetKeepalive(5 * time.Second)
	f, _ := s.OpenFlow(netconn.Metadata{}.Append(nil), flow.SendOptions{})
	b := netconn.Message{Type: netconn.TypeCommand}.Append(nil)
	_ = f.Write(amf.Append(b, amf.String("connect"), amf.Number(1), amf.Object{{Name: "app", Value: amf.String("app")}}), flow.WriteOptions{})
}

func heapInUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Clients that close their receive window and are sent 60 KB a second hold little, and
// not for long. Those who read get all of it.
func TestDeafClientsAreClosed(t *testing.T) {
	n := newNetwork(t)
	limits := DefaultLimits()
	limits.Message, limits.SenderBytes, limits.ReceiverBytes, limits.NodeBytes = 64<<10, 0, 0, 0
	node, engine, at := n.node(Config{Limits: &limits})
	talker := n.user("198.51.100.1:5000").connect(at)
	reader := n.user("198.51.100.2:5000").connect(at)
	list := make([]*deaf, 60)
	for i := range list {
		d := &deaf{}
		addr := fmt.Sprintf("203.0.113.%d:6000", i)
		d.engine, _ = n.add(addr, rtmfp.Config{Identity: identity(t, flash.IdentityOptions{}), Handler: d, SequentialIDs: true})
		target := rtmfp.Target{EPD: flash.EPD{HasAncillary: true, Ancillary: []byte("rtmfp://node/app")}, Addrs: []netip.AddrPort{at}}
		if _, err := d.engine.Open(target, d); err != nil {
			t.Fatal(err)
		}
		list[i] = d
	}
	n.wait(time.Second)
	if peers := node.Stats().Peers; peers != 62 {
		t.Fatalf("%d peers", peers)
	}
	before, most := heapInUse(), 0
	text := amf.String(strings.Repeat("x", 60_000))
	for range 16 {
		if err := talker.client.Call("broadcast", func(amf.Args, error) {}, text); err != nil {
			t.Fatal(err)
		}
		n.wait(time.Second)
		talker.commands = nil
		most = max(most, heapInUse()-before)
	}
	if most > 60*200<<10 {
		t.Errorf("the heap grew by %d KiB, %d for each silent session", most>>10, most>>10/60)
	}
	n.wait(5 * time.Second)
	if got := node.NetConnStats().Unread; got != 60 || node.Stats().Peers != 2 {
		t.Errorf("%d closed, %d peers; %+v", got, node.Stats().Peers, engine.Stats())
	}
	if len(reader.commands) != 16 {
		t.Errorf("who reads got %d messages", len(reader.commands))
	}
	for _, d := range list {
		if d.closed == nil {
			t.Error("a client was not told")
			break
		}
	}
}
