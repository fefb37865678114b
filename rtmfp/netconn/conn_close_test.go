package netconn_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

// Ways in which clients leave.
func TestClientCloses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		close func(r *raw, f func())
	}{
		{"finishes its control flow", func(_ *raw, finish func()) { finish() }},
		{"rejects ours and finishes its own", func(r *raw, finish func()) { r.in[0].Reject(0); finish() }},
		{"rejects ours", func(r *raw, _ func()) { r.in[0].Reject(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memnet.New(1, line)
				s := newNode(t, n)
				r, f := connected(t, n)
				s.take()
				r.do(func(*rtmfp.Engine) { tt.close(r, f.Close) })
				settle(time.Second)
				expect(t, "node", s.take(), "closed: netconn: closed by the far end: use of closed network connection")
				if s.sessions() != 0 {
					t.Error("session left")
				}
			})
		})
	}
}

func TestServerCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, _ := connected(t, n)
		s.take()
		var late error
		s.conn(0, func(c *nodeConn) {
			if err := c.Send("bye", amf.String("now")); err != nil {
				t.Error(err)
			}
			if err := c.Call("question", func(_ amf.Args, err error) { s.add("answer: %v", err) }); err != nil {
				t.Error(err)
			}
			c.Close()
			c.Close()
			late = c.Send("late")
		})
		settle(time.Second)
		if late == nil {
			t.Error("sent on a closed connection")
		}
		expect(t, "node", s.take(),
			"answer: netconn: closed by this end: use of closed network connection",
			"closed: netconn: closed by this end: use of closed network connection")
		got := r.take()
		expect(t, "client", got[:4], "0: 0x14 bye 0 now", "0: 0x14 question 1 <nil>", "0: 0x14 close 0 <nil>", "ended: <nil>")
		if s.sessions() != 0 {
			t.Error("session left")
		}
	})
}

func TestCallsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		connected(t, n)
		s.conn(0, func(c *nodeConn) {
			n := 0
			for c.Call("x", func(amf.Args, error) {}) == nil {
				n++
			}
			if n != 64 {
				t.Errorf("%d calls", n)
			}
		})
	})
}

// A client that asks without end and reads nothing costs no more than a flow, and is
// closed after some seconds.
func TestDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, f := connected(t, n)
		s.take()
		r.do(func(*rtmfp.Engine) { r.in[0].SetCapacity(0) })
		r.send(f, command("echo", 1, amf.Null{}, amf.String("x")))
		question := command("echo", 1, amf.Null{}, amf.String(strings.Repeat("x", 4000)))
		for range 40 { // for 8 s
			r.send(f, question, question)
		}
		if got := s.stats(); got.Drops[netconn.DropSend] == 0 || got.Unread != 0 {
			t.Errorf("answers pile up: %+v", got)
		}
		s.take()
		settle(10 * time.Second)
		expect(t, "node", s.take(), "closed: netconn: client does not read: use of closed network connection")
		if got := s.stats(); got.Unread != 1 {
			t.Errorf("%d clients closed", got.Unread)
		}
	})
}

// A client that reads again in time stays, and so does any if there is no limit.
func TestSlowClient(t *testing.T) {
	for _, unread := range []int{0, -1} {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New(1, line)
			s := newNode(t, n, func(c *netconn.ServerConfig) { c.Unread = unread })
			r, _ := connected(t, n)
			for range 3 {
				r.do(func(*rtmfp.Engine) { r.in[0].SetCapacity(0) })
				s.conn(0, func(c *nodeConn) {
					text := amf.String(strings.Repeat("x", 20_000))
					for range 100 {
						if c.Send("text", text) != nil {
							break
						}
					}
				})
				settle(9 * time.Second)
				if unread < 0 {
					settle(20 * time.Second)
				}
				r.do(func(*rtmfp.Engine) { r.in[0].SetCapacity(1 << 16) })
				settle(9 * time.Second)
			}
			if got := s.stats(); got.Unread != 0 || got.Drops[netconn.DropSend] == 0 {
				t.Errorf("%d clients closed, %d messages refused", got.Unread, got.Drops[netconn.DropSend])
			}
			s.conn(0, func(c *nodeConn) {
				if !c.Open() {
					t.Error("closed")
				}
			})
		})
	}
}

// A connection that the node ends is gone after some seconds, whatever its client reads,
// and if nobody else comes.
func TestDeafClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, line)
		s := newNode(t, n)
		r, _ := connected(t, n)
		settle(2 * time.Minute)
		r.do(func(*rtmfp.Engine) {
			r.in[0].SetCapacity(0)
			r.session.SetKeepalive(5 * time.Second)
		})
		settle(time.Second)
		s.conn(0, func(c *nodeConn) {
			_ = c.Send("text", amf.String(strings.Repeat("x", 20_000)))
			_ = c.Send("text", amf.String(strings.Repeat("x", 20_000)))
			c.Close()
		})
		settle(15 * time.Second)
		if n := s.sessions(); n != 0 {
			t.Errorf("%d sessions are open", n)
		}
	})
}
