package netconn_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// said is a command message of these values.
func said(values ...amf.Value) []byte {
	return amf.Append(netconn.Message{Type: netconn.TypeCommand}.Append(nil), values...)
}

func event(level, code string) amf.Object {
	return amf.Object{{Name: "level", Value: amf.String(level)}, {Name: "code", Value: amf.String(code)}, {Name: "description", Value: amf.String("why")}}
}

// The null in the place of the command object may be left out, as by librtmfp: what a
// publisher says is what it says all the same.
func TestPublisherLeavesTheNullOut(t *testing.T) {
	for _, null := range []bool{true, false} {
		message := func(o amf.Object) []byte {
			if null {
				return said(amf.String("onStatus"), amf.Number(0), amf.Null{}, o)
			}
			return said(amf.String("onStatus"), amf.Number(0), o)
		}
		for name, test := range map[string]struct {
			says []byte
			want []string
		}{
			"start": {message(event("status", netconn.StatusPlayStart)), []string{"NetStream.Connect.Success", "NetStream.Play.Start"}},
			"not found": {message(event("error", netconn.StatusPlayNotFound)), []string{
				"NetStream.Connect.Success", "NetStream.Play.StreamNotFound", "NetStream.Connect.Closed", "closed: netconn: NetStream.Play.StreamNotFound: why",
			}},
			"failed": {message(event("error", netconn.StatusPlayFailed)), []string{
				"NetStream.Connect.Success", "NetStream.Play.Failed", "NetStream.Connect.Closed", "closed: netconn: NetStream.Play.Failed: why",
			}},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					_, _, alice, bob := meeting(t, line)
					publisher := &raw{party: alice.party}
					alice.foreign = func(s *rtmfp.Session) rtmfp.SessionHandler {
						publisher.session = s
						return publisher
					}
					v, _ := bob.play(alice, "film")
					settle(2 * time.Second)
					f := publisher.open(netconn.Metadata{StreamID: 1}.Append(nil), 0)
					publisher.send(f, test.says)
					expect(t, "viewer", v.take(), test.want...)
				})
			})
		}
	}
}

// So may who plays from here.
func TestPlayerLeavesTheNullOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, alice, bob := meeting(t, line)
		alice.publish("film", netconn.PublishOptions{})
		viewer := &raw{party: bob.party}
		bob.do(func(e *rtmfp.Engine) {
			var err error
			viewer.session, err = e.Open(rtmfp.Target{
				EPD:   flash.EPD{Fingerprint: alice.id.PeerID(), HasFingerprint: true},
				Addrs: []netip.AddrPort{netip.MustParseAddrPort(nodeAddr)},
			}, viewer)
			if err != nil {
				t.Error(err)
			}
		})
		settle(2 * time.Second)
		f := viewer.open(netconn.Metadata{StreamID: 2000001}.Append(nil), -1)
		viewer.send(f, said(amf.String("play"), amf.Number(0), amf.String("film")))
		alice.has(t, `play "film"`)
		alice.has(t, "subscribed")
	})
}
