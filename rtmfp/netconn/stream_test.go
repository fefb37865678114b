package netconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/memnet"
	"pileus/rtmfp/netconn"
)

// meeting is a node and two clients connected to it.
func meeting(t *testing.T, path memnet.Path) (n *memnet.Network, s *node, alice, bob *peer) {
	t.Helper()
	n = memnet.New(3, path)
	s = newNode(t, n)
	alice, bob = newPeer(t, n, aliceAddr), newPeer(t, n, bobAddr)
	alice.dial(nil)
	bob.dial(nil)
	settle(5 * time.Second)
	alice.has(t, "connected")
	bob.has(t, "connected")
	alice.take()
	bob.take()
	return n, s, alice, bob
}

func (p *peer) publish(name string, o netconn.PublishOptions) (pub *netconn.Publication) {
	p.t.Helper()
	p.with(func(c *netconn.Client) {
		var err error
		if pub, err = c.Publish(name, o, p); err != nil {
			p.t.Error(err)
		}
	})
	return pub
}

func (p *peer) play(from *peer, name string) (v *viewer, sub *netconn.Subscription) {
	p.t.Helper()
	v = &viewer{}
	p.with(func(c *netconn.Client) {
		var err error
		if sub, err = c.Play(from.id.PeerID(), name, v); err != nil {
			p.t.Error(err)
		}
	})
	return v, sub
}

func (p *peer) write(pub *netconn.Publication, messages ...netconn.Message) {
	p.t.Helper()
	p.do(func(*rtmfp.Engine) {
		for _, m := range messages {
			if err := pub.Write(m); err != nil {
				p.t.Error(err)
			}
		}
	})
}

func (v *viewer) got() []netconn.Message {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]netconn.Message(nil), v.messages...)
}

func audio(ts uint32, b ...byte) netconn.Message {
	return netconn.Message{Type: netconn.TypeAudio, Timestamp: ts, Payload: b}
}

func video(ts uint32, b ...byte) netconn.Message {
	return netconn.Message{Type: netconn.TypeVideo, Timestamp: ts, Payload: b}
}

// film is n messages of all kinds.
func film(n int) []netconn.Message {
	var m []netconn.Message
	for i := range n {
		ts := uint32(i * 20)
		m = append(m, audio(ts, bytes.Repeat([]byte{0xaf, 1, byte(i)}, 30)...), video(ts, bytes.Repeat([]byte{0x27, 1, byte(i)}, 700)...))
		if i%10 == 0 {
			m = append(m, netconn.Message{
				Type: netconn.TypeData, Timestamp: ts,
				Payload: amf.Append(nil, amf.String("onCuePoint"), amf.Number(i)),
			})
		}
	}
	return m
}

func ofType(typ netconn.MessageType, all []netconn.Message) (some []netconn.Message) {
	for _, m := range all {
		if m.Type == typ {
			some = append(some, m)
		}
	}
	return some
}

// A stream from a peer, from first to last message, with its events around it,
// on one flow or several, on good lines and bad.
func TestStream(t *testing.T) {
	for _, path := range []memnet.Path{
		line,
		{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.05, Duplicate: 0.05, Corrupt: 0.01},
	} {
		for _, single := range []bool{true, false} {
			t.Run(fmt.Sprintf("loss=%v,single=%v", path.Loss, single), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, _, alice, bob := meeting(t, path)
					pub := alice.publish("film", netconn.PublishOptions{SingleFlow: single})
					v, sub := bob.play(alice, "film")
					settle(10 * time.Second)
					expect(t, "viewer", v.take(), "NetStream.Connect.Success", "NetStream.Play.Start")
					expect(t, "publisher", alice.take(), `play "film"`, "subscribed")
					want := film(100)
					alice.write(pub, want...)
					alice.do(func(*rtmfp.Engine) { pub.Close() })
					settle(30 * time.Second)
					got := v.got()
					if single {
						if diff := cmp.Diff(want, got); diff != "" {
							t.Error(diff)
						}
					}
					for _, typ := range []netconn.MessageType{netconn.TypeAudio, netconn.TypeVideo, netconn.TypeData} {
						if !cmp.Equal(ofType(typ, want), ofType(typ, got)) {
							t.Errorf("type %d: %d of %d messages", typ, len(ofType(typ, got)), len(ofType(typ, want)))
						}
					}
					expect(t, "viewer", v.take(), "NetStream.Play.UnpublishNotify")
					bob.do(func(*rtmfp.Engine) { sub.Close() })
					settle(10 * time.Second)
					expect(t, "viewer", v.take(), "NetStream.Connect.Closed", "closed: netconn: closed by this end: use of closed network connection")
					// Nothing uses the session any more.
					for _, p := range []*peer{alice, bob} {
						p.with(func(c *netconn.Client) {
							if n := len(c.Peers()); n != 0 {
								t.Errorf("%v: %d peers left", p.addr, n)
							}
						})
						want := netconn.Stats{}.Drops
						p.with(func(c *netconn.Client) {
							if diff := cmp.Diff(want, c.Stats().Drops); diff != "" {
								t.Errorf("%v: dropped: %s", p.addr, diff)
							}
						})
					}
				})
			})
		}
	}
}

// The events of a stream come around its messages on all flows: its end waits
// for the last of them.
func TestStreamOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, memnet.Path{Delay: 50 * time.Millisecond, Jitter: 80 * time.Millisecond, Loss: 0.1})
		pub := alice.publish("film", netconn.PublishOptions{})
		v, _ := bob.play(alice, "film")
		settle(10 * time.Second)
		n := 0
		bob.do(func(*rtmfp.Engine) { v.take() })
		alice.write(pub, film(30)...)
		alice.do(func(*rtmfp.Engine) { pub.Close() })
		for range 3000 {
			settle(10 * time.Millisecond)
			if len(v.take()) > 0 {
				n = len(v.got())
				break
			}
		}
		if n != len(film(30)) {
			t.Errorf("UnpublishNotify came after %d of %d messages", n, len(film(30)))
		}
	})
}

// Who comes late gets what the messages to come need first.
func TestLateSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		pub := alice.publish("film", netconn.PublishOptions{})
		meta := netconn.Message{Type: netconn.TypeData, Payload: amf.Append(nil, amf.String("onMetaData"), amf.ECMAArray{})}
		aac, avc := audio(0, 0xaf, 0, 0x12, 0x10), video(0, 0x17, 0, 0, 0, 0, 1)
		alice.write(pub, meta, aac, avc, audio(5, 0xaf, 1, 1), video(5, 0x27, 1, 1))
		v, _ := bob.play(alice, "film")
		settle(5 * time.Second)
		got := v.got()
		if len(got) != 3 {
			t.Errorf("%v", got)
		}
		for _, m := range []netconn.Message{meta, aac, avc} {
			if !cmp.Equal(ofType(m.Type, got), []netconn.Message{m}) {
				t.Errorf("type %d: %v", m.Type, ofType(m.Type, got))
			}
		}
	})
}

func TestPlayIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(p *peer)
		want  []string
	}{
		{"not found", func(*peer) {}, []string{
			"NetStream.Connect.Success", "NetStream.Play.StreamNotFound", "NetStream.Connect.Closed",
			"closed: netconn: NetStream.Play.StreamNotFound: No stream of that name is published here.",
		}},
		{"peer not accepted", func(p *peer) { p.accept = func(*netconn.Peer) bool { return false } }, []string{
			"NetStream.Connect.Success", "NetStream.Connect.Rejected", "closed: netconn: the peer refuses the stream",
		}},
		{"later", func(p *peer) {
			p.onPlay = func(r *netconn.PlayRequest) {
				go func() {
					time.Sleep(time.Second)
					p.do(func(*rtmfp.Engine) { r.Reject(); r.NotFound() })
				}()
			}
		}, []string{
			"NetStream.Connect.Success", "NetStream.Connect.Rejected", "closed: netconn: the peer refuses the stream",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, alice, bob := meeting(t, line)
				tt.setup(alice)
				v, _ := bob.play(alice, "film")
				settle(10 * time.Second)
				expect(t, "viewer", v.take(), tt.want...)
				for _, p := range []*peer{alice, bob} {
					p.with(func(c *netconn.Client) {
						if n := len(c.Peers()); n != 0 {
							t.Errorf("%v: %d peers left", p.addr, n)
						}
					})
				}
			})
		})
	}
}

func TestPlayFromNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, alice, bob := meeting(t, line)
		_ = n
		alice.with((*netconn.Client).Abort)
		settle(time.Second)
		v, _ := bob.play(alice, "film")
		settle(3 * time.Minute)
		expect(t, "viewer", v.take(), "NetStream.Connect.Failed", "closed: rtmfp: no answer: timed out")
	})
}

// Both play from each other at once: one session remains and carries both.
func TestGlare(t *testing.T) {
	for seed := range 4 {
		synctest.Test(t, func(t *testing.T) {
			_, _, alice, bob := meeting(t, memnet.Path{Delay: 20 * time.Millisecond, Jitter: time.Duration(seed) * 10 * time.Millisecond})
			alice.publish("a", netconn.PublishOptions{})
			bob.publish("b", netconn.PublishOptions{})
			va, _ := alice.play(bob, "b")
			vb, _ := bob.play(alice, "a")
			settle(20 * time.Second)
			va.has(t, "NetStream.Play.Start")
			vb.has(t, "NetStream.Play.Start")
			for _, p := range []*peer{alice, bob} {
				p.with(func(c *netconn.Client) {
					if n := len(c.Peers()); n != 1 {
						t.Errorf("%v: %d peers", p.addr, n)
					}
				})
			}
		})
	}
}

// Several streams share a session, and each ends by itself.
func TestSeveralStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		a := alice.publish("a", netconn.PublishOptions{})
		b := alice.publish("b", netconn.PublishOptions{SingleFlow: true})
		va, sa := bob.play(alice, "a")
		vb, _ := bob.play(alice, "b")
		settle(5 * time.Second)
		alice.write(a, audio(1, 1))
		alice.write(b, audio(2, 2))
		settle(time.Second)
		if len(va.got()) != 1 || len(vb.got()) != 1 || va.got()[0].Timestamp != 1 {
			t.Errorf("%v, %v", va.got(), vb.got())
		}
		bob.do(func(*rtmfp.Engine) { sa.Close() })
		settle(time.Second)
		alice.has(t, "unsubscribed: netconn: closed by the far end")
		alice.write(a, audio(3, 3))
		alice.write(b, audio(4, 4))
		settle(time.Second)
		if len(va.got()) != 1 || len(vb.got()) != 2 {
			t.Errorf("%v, %v", va.got(), vb.got())
		}
		if err := func() (err error) {
			alice.with(func(c *netconn.Client) { _, err = c.Publish("b", netconn.PublishOptions{}, alice) })
			return err
		}(); err == nil {
			t.Error("two streams of one name")
		}
	})
}

func TestSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		pub := alice.publish("text", netconn.PublishOptions{})
		v, _ := bob.play(alice, "text")
		settle(5 * time.Second)
		var large, control error
		alice.do(func(*rtmfp.Engine) {
			if err := pub.Send("onText", amf.String("hello"), amf.Number(5)); err != nil {
				t.Error(err)
			}
			large = pub.Send("onText", amf.String(strings.Repeat("x", 70000)))
			control = pub.Write(netconn.Message{Type: netconn.TypeCommand})
		})
		settle(time.Second)
		got := v.got()
		if len(got) != 1 {
			t.Fatalf("%v", got)
		}
		args, err := got[0].Data()
		if diff := cmp.Diff(amf.Args{amf.String("onText"), amf.String("hello"), amf.Number(5)}, args); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		var e *flow.TooLargeError
		if !errors.As(large, &e) || e.Limit != 65536 {
			t.Errorf("large: %v", large)
		}
		if control == nil {
			t.Error("a command as a stream's message")
		}
	})
}
