package netconn_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/netconn"
)

// recordedStreams are the exchanges in which one peer plays from another.
var recordedStreams = []string{"s03_p2p_intro", "s03_p2p_checksum", "s03_p2p_implied_redirect", "s03_p2p_glare"}

// streamFlows are the flows of the first stream in e: the subscriber's, and the
// publisher's that answer it.
func streamFlows(t *testing.T, e *vectors.Exchange) (control vectors.Flow, media []vectors.Flow) {
	t.Helper()
	for _, f := range e.Flows {
		if m, err := netconn.ParseMetadata(f.Metadata); err == nil && m.StreamID != 0 && f.ReturnAssociation == nil {
			control = f
			break
		}
	}
	for _, f := range e.Flows {
		if f.Session == control.Session && f.Dir != control.Dir && f.ReturnAssociation != nil && *f.ReturnAssociation == control.Flow {
			media = append(media, f)
		}
	}
	if len(control.Messages) == 0 || len(media) == 0 {
		t.Fatalf("%s: no stream", e.Scenario)
	}
	return control, media
}

// message is a recorded message; of long ones only the length is known.
func message(m vectors.Message) []byte {
	if m.Hex != nil || m.Len == 0 {
		return m.Hex
	}
	b := netconn.Message{Type: netconn.MessageType(m.TC.Type), Timestamp: m.TC.Timestamp}.Append(nil)
	return append(b, make([]byte, m.Len-len(b))...)
}

// Our subscriber says what the recorded one said, and understands what the
// recorded publisher answered.
func TestRecordedPublisher(t *testing.T) {
	for _, name := range recordedStreams {
		t.Run(name, func(t *testing.T) {
			control, media := streamFlows(t, vectors.Load(t, name))
			s, d, peer := &silent{}, &dialing{}, &silent{}
			p := newBench(t, s, d, peer)
			dial(t, p, d)
			answer(t, s)
			p.pump()
			open(t, p, peer)
			v := &viewer{}
			peer.in, peer.messages = nil, nil
			if _, err := d.client.Play(identities[2].PeerID(), "p2pstream", v); err != nil {
				t.Fatal(err)
			}
			p.pump()
			// The recorded one counts from 1, ours as Flash does: librtmfp takes no other.
			flashs := netconn.Metadata{StreamID: 2000001}.Append(nil)
			if len(peer.in) != 1 || !bytes.Equal(peer.in[0].Metadata(), flashs) {
				t.Fatalf("%d flows", len(peer.in))
			}
			if want := [][]byte{control.Messages[0].Hex}; !cmp.Equal(want, peer.messages) {
				t.Errorf("said %x, want %x", peer.messages, want)
			}
			want := 0
			for _, f := range media {
				g, err := peer.session.OpenFlow(flashs, flow.SendOptions{ReturnOf: peer.in[0]})
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range f.Messages {
					if m.TC == nil {
						continue
					}
					if m.TC.Type == uint8(netconn.TypeAudio) || m.TC.Type == uint8(netconn.TypeVideo) {
						want++
					}
					if err := g.Write(message(m), flow.WriteOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				g.Close()
			}
			p.pump()
			expect(t, "events", v.take(), "NetStream.Connect.Success", "NetStream.Play.Start")
			if got := len(v.got()); got != want || want == 0 {
				t.Errorf("%d of %d messages", got, want)
			}
			if diff := cmp.Diff(netconn.Stats{}.Drops, d.client.Stats().Drops); diff != "" {
				t.Errorf("dropped: %s", diff)
			}
		})
	}
}

// Our publisher understands the recorded subscriber, and begins its answer as
// the recorded one did.
func TestRecordedSubscriber(t *testing.T) {
	for _, name := range recordedStreams {
		t.Run(name, func(t *testing.T) {
			control, media := streamFlows(t, vectors.Load(t, name))
			s, d, peer := &silent{}, &dialing{}, &silent{}
			p := newBench(t, s, d, peer)
			dial(t, p, d)
			answer(t, s)
			p.pump()
			var err error
			if d.pub, err = d.client.Publish("p2pstream", netconn.PublishOptions{SingleFlow: true}, d); err != nil {
				t.Fatal(err)
			}
			open(t, p, peer)
			g, err := peer.session.OpenFlow(control.Metadata, flow.SendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range control.Messages {
				if m.Hex == nil {
					continue
				}
				if err := g.Write(m.Hex, flow.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			p.pump()
			if d.pub.Subscribers() != 1 {
				t.Fatal("not playing")
			}
			if len(peer.in) != 1 || !bytes.Equal(peer.in[0].Metadata(), media[0].Metadata) || peer.in[0].ReturnOf() != g {
				t.Fatalf("%d flows", len(peer.in))
			}
			if len(peer.messages) != 2 || !bytes.Equal(peer.messages[0], media[0].Messages[0].Hex) {
				t.Fatalf("answered %x", peer.messages)
			}
			if got, want := status(t, peer.messages[1]), status(t, media[0].Messages[1].Hex); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			g.Close()
			p.pump()
			if d.pub.Subscribers() != 0 {
				t.Error("still playing")
			}
		})
	}
}

// open brings about a proven session from peer, the third of p, to the client.
func open(t *testing.T, p *bench, peer *silent) {
	t.Helper()
	if _, err := p.engines[2].Open(rtmfp.Target{EPD: identities[1].Certificate().EPD(), Addrs: p.addrs[1:2]}, peer); err != nil {
		t.Fatal(err)
	}
	p.pump()
	if peer.session == nil {
		t.Fatal("no session")
	}
	peer.session.Ping()
	p.pump()
}

// status is the code and level of an onStatus.
func status(t *testing.T, msg []byte) string {
	t.Helper()
	m, err := netconn.ParseMessage(msg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := netconn.ParseCommand(m)
	if err != nil {
		t.Fatalf("%s: %v", hex.EncodeToString(msg), err)
	}
	o, ok := c.Args.Object(0)
	if c.Name != "onStatus" || !ok || !amf.IsNull(c.Object) {
		t.Errorf("%s %v", c.Name, c.Args)
	}
	return o.String("level") + " " + o.String("code")
}
