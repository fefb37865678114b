package bench

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

const (
	group2  = flash.Group2
	group14 = flash.Group14

	certStaticKey = 0x1d
	// An option that no profile defines: it makes peer IDs differ while all
	// peers share one key pair per group.
	certSerial = 0x2001
)

// clientKeys holds what all peers of a run have in common.
type clientKeys struct {
	run     [8]byte // tells this run's tags from those of earlier ones
	epd     []byte  // selects any server that takes a URI
	connect []byte  // message
	pairs   map[flash.Group]*flash.KeyPair
}

// newClientKeys makes the two key pairs of a run.
//
// A load generator has no secrets to keep but must keep up with the server, so
// its private exponents have 16 bits: enough for 2^x to pass as a public key
// (RFC 7425 section 4.6.2), and the server's work is the same.
func newClientKeys(server netip.AddrPort, app string) (*clientKeys, error) {
	k := &clientKeys{pairs: make(map[flash.Group]*flash.KeyPair)}
	_, _ = rand.Read(k.run[:]) // never fails
	uri := fmt.Sprintf("rtmfp://%v/%s", server, app)
	k.epd = wire.AppendOption(nil, optionAncillary, []byte(uri))
	k.connect = connectMessage(app, uri)
	for _, g := range []flash.Group{group2, group14} {
		var exponent [2]byte
		_, _ = rand.Read(exponent[:])
		exponent[0] |= 0x80
		pair, err := flash.RestoreKey(g, exponent[:])
		if err != nil {
			return nil, err
		}
		k.pairs[g] = pair
	}
	return k, nil
}

// certificate returns the certificate of peer i: a static key of group g, and
// what makes it unlike the others.
func (k *clientKeys) certificate(g flash.Group, i int) []byte {
	key := append(wire.AppendVLU(nil, uint64(g)), k.pairs[g].Public()...)
	serial := binary.BigEndian.AppendUint32(k.run[:len(k.run):len(k.run)], uint32(i))
	return wire.AppendOption(wire.AppendOption(nil, certStaticKey, key), certSerial, serial)
}

// begin answers an RHello that held the certificate far. HMACs and session
// sequence numbers are sent if the server asks for them, as Flash does.
func (k *clientKeys) begin(g flash.Group, near, far []byte) (*flash.InitiatorKeying, error) {
	c, err := flash.ParseCertificate(far)
	if err != nil {
		return nil, err
	}
	id, err := flash.NewIdentity(flash.IdentityOptions{Certificate: near, Keys: []*flash.KeyPair{k.pairs[g]}})
	if err != nil {
		return nil, err
	}
	return id.BeginKeying(c, flash.Policy{}, nil)
}

// seed returns 32 bytes that differ between runs.
func (k *clientKeys) seed() []byte {
	var seed [32]byte
	for i := range seed {
		seed[i] = k.run[i%len(k.run)]
	}
	return seed[:]
}

// Messages as Flash sends them: RTMP type and timestamp, then AMF0 (RFC 7425
// section 5.3).
var (
	controlMetadata = wire.AppendOption(nil, wire.OptionMetadata, []byte("TC\x04\x00"))
	setPeerInfo     = amf.Append([]byte{0x11, 0, 0, 0, 0, 0}, amf.String("setPeerInfo"), amf.Number(0), amf.Null{})
)

func connectMessage(app, uri string) []byte {
	return amf.Append([]byte{0x14, 0, 0, 0, 0}, amf.String("connect"), amf.Number(1), amf.Object{
		{Name: "app", Value: amf.String(app)},
		{Name: "flashVer", Value: amf.String("LNX 13,0,0,182")},
		{Name: "swfUrl", Value: amf.String("file:///bench.swf")},
		{Name: "tcUrl", Value: amf.String(uri)},
		{Name: "fpad", Value: amf.Boolean(false)},
		{Name: "capabilities", Value: amf.Number(239)},
		{Name: "audioCodecs", Value: amf.Number(3575)},
		{Name: "videoCodecs", Value: amf.Number(252)},
		{Name: "videoFunction", Value: amf.Number(1)},
		{Name: "pageUrl", Value: amf.Null{}},
		{Name: "objectEncoding", Value: amf.Number(3)},
	})
}
