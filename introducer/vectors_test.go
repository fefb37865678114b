package introducer

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/wire"
)

// recording is what this test needs of rtmfp/testdata/vectors/s03_p2p_intro.json;
// the README beside it says what the members mean.
type recording struct {
	Endpoints map[string]struct {
		Certificate hexBytes `json:"certificate"`
		DHKeyPairs  []struct {
			Group   int      `json:"group"`
			Private hexBytes `json:"private"`
		} `json:"dh_keypairs"`
	} `json:"endpoints"`
	Datagrams []struct {
		N         int            `json:"n"`
		From      string         `json:"from"`
		Src       netip.AddrPort `json:"src"`
		Key       string         `json:"key"`
		Dir       string         `json:"dir"`
		Hex       hexBytes       `json:"hex"`
		Plaintext hexBytes       `json:"plaintext"`
		PacketOff int            `json:"packet_off"`
		Packet    struct {
			PaddingOff int `json:"padding_off"`
			Chunks     []struct {
				Name string `json:"name"`
				Off  int    `json:"off"`
				Len  int    `json:"len"`
			} `json:"chunks"`
		} `json:"packet"`
	} `json:"datagrams"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func load(t *testing.T) *recording {
	t.Helper()
	b, err := os.ReadFile("../rtmfp/testdata/vectors/s03_p2p_intro.json")
	if err != nil {
		t.Fatal(err)
	}
	r := new(recording)
	if err := json.Unmarshal(b, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// recorded is a recorded client in front of our node.
type recorded struct {
	t    *testing.T
	node *rtmfp.Engine
	at   netip.AddrPort // the node's
	addr netip.AddrPort // the client's
	net  *network
	keys *flash.SessionKeys
	id   wire.SessionID // of the node
	got  [][]byte       // datagrams from the node
}

func (c *recorded) send(datagram []byte) {
	c.node.Receive(c.net.Now(), rtmfp.Datagram{Local: c.at, Peer: c.addr, Data: datagram})
	c.net.wait(0)
}

// handshake opens the session with the recorded certificate and keys.
func (c *recorded) handshake(r *recording, name string) {
	t := c.t
	t.Helper()
	p := r.Endpoints[name]
	o := flash.IdentityOptions{Certificate: p.Certificate}
	for _, k := range p.DHKeyPairs {
		key, err := flash.RestoreKey(flash.Group(k.Group), k.Private)
		if err != nil {
			t.Fatal(err)
		}
		o.Keys = append(o.Keys, key)
	}
	id, err := flash.NewIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	sealer, _ := flash.NewStartup()
	start := func() []byte { return wire.Header{Mode: wire.ModeStartup}.Append(sealer.Begin(nil)) }
	server := c.node.Identity().Certificate()
	c.send(sealer.Finish(wire.IHello{EPD: server.EPD().Append(nil), Tag: []byte("0123456789abcdef")}.Append(start()), wire.SessionID{}))
	hello, err := wire.ParseRHello(c.chunk(nil, wire.ChunkRHello))
	if err != nil {
		t.Fatal(err)
	}
	k, err := id.BeginKeying(server, flash.Policy{Modern: true}, flash.NewKeyPool(0))
	if err != nil {
		t.Fatal(err)
	}
	c.send(sealer.Finish(wire.IIKeying{
		SessionID: wire.SessionID{2}, Cookie: hello.Cookie, Certificate: p.Certificate, Component: k.Component(), Signature: []byte("X"),
	}.Append(start()), wire.SessionID{}))
	keying, err := wire.ParseRIKeying(c.chunk(nil, wire.ChunkRIKeying))
	if err != nil {
		t.Fatal(err)
	}
	if c.keys, err = k.Finish(keying.Component); err != nil {
		t.Fatal(err)
	}
	c.id = keying.SessionID
}

// chunk is the first chunk of that type that the node has sent since, under the
// session key or, with no opener, the default one.
func (c *recorded) chunk(o *flash.Opener, want wire.ChunkType) []byte {
	c.t.Helper()
	if o == nil {
		_, o = flash.NewStartup()
	}
	for len(c.got) > 0 {
		d := c.got[0]
		c.got = c.got[1:]
		packet, err := o.Open(make([]byte, len(d)), d)
		if err != nil {
			continue
		}
		_, b, err := wire.ParseHeader(packet)
		if err != nil {
			c.t.Fatal(err)
		}
		typ, body, rest, _ := wire.NextChunk(b)
		if typ != want {
			continue
		}
		if _, _, _, more := wire.NextChunk(rest); more {
			c.t.Errorf("%v is not alone in its packet", want)
		}
		return body
	}
	c.t.Fatalf("the node sent no %v", want)
	return nil
}

// Our node takes the recorded server's place between the recorded clients.
func TestRecordedIntroduction(t *testing.T) {
	r := load(t)
	n := newNetwork(t)
	node, engine, at := n.node(Config{})
	clients := make(map[string]*recorded)
	for _, name := range []string{"publisher", "subscriber"} {
		c := &recorded{t: t, node: engine, at: at, net: n}
		for _, d := range r.Datagrams {
			if d.From == name {
				c.addr = d.Src
				break
			}
		}
		clients[name] = c
	}
	var order []wire.ChunkType
	n.watch = func(_, to netip.AddrPort, data []byte) {
		for _, c := range clients {
			if to == c.addr {
				c.got = append(c.got, bytes.Clone(data))
			}
		}
	}
	clients["publisher"].handshake(r, "publisher")
	clients["subscriber"].handshake(r, "subscriber")

	sessions := map[string]string{"S1": "publisher", "S2": "subscriber"}
	var recordedFIHello, recordedTag []byte
	for _, d := range r.Datagrams {
		if d.From == "server" {
			for _, c := range d.Packet.Chunks {
				if c.Name == "FIHello" {
					recordedFIHello = d.Plaintext[c.Off+wire.ChunkHeaderLen : c.Off+wire.ChunkHeaderLen+c.Len]
				}
			}
			continue
		}
		name := sessions[d.Key]
		switch {
		case name == d.From:
			// A session packet, under the keys that this node negotiated.
			c := clients[name]
			b := append(c.keys.Sealer.Begin(nil), d.Plaintext[d.PacketOff:d.Packet.PaddingOff]...)
			c.send(c.keys.Sealer.Finish(b, c.id))
		case d.Key == "default" && d.N == 21:
			// The IHello for the publisher, as it was recorded.
			c := clients["subscriber"]
			c.got, clients["publisher"].got = nil, nil
			n.watch = func(_, to netip.AddrPort, data []byte) {
				for name, c := range clients {
					if to == c.addr {
						c.got = append(c.got, bytes.Clone(data))
						order = append(order, map[string]wire.ChunkType{"subscriber": wire.ChunkRedirect, "publisher": wire.ChunkFIHello}[name])
					}
				}
			}
			c.send(d.Hex)
			packet := bytes.Clone(d.Plaintext[d.PacketOff:])
			_, b, err := wire.ParseHeader(packet)
			if err != nil {
				t.Fatal(err)
			}
			_, body, _, _ := wire.NextChunk(b)
			hello, err := wire.ParseIHello(body)
			if err != nil {
				t.Fatal(err)
			}
			recordedTag = hello.Tag
			redirect, err := wire.ParseRedirect(c.chunk(nil, wire.ChunkRedirect))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(redirect.Tag, recordedTag) {
				t.Errorf("Redirect has tag %x, want %x", redirect.Tag, recordedTag)
			}
			var first netip.AddrPort
			for a := range redirect.Addresses() {
				first = a.AddrPort
				break
			}
			if first != clients["publisher"].addr {
				t.Errorf("Redirect names %v first, want the observed %v", first, clients["publisher"].addr)
			}
		}
	}
	if len(order) < 2 || order[0] != wire.ChunkRedirect || order[1] != wire.ChunkFIHello {
		t.Errorf("sent %v, want the Redirect first", order)
	}
	got := bytes.Clone(clients["publisher"].chunk(clients["publisher"].keys.Opener, wire.ChunkFIHello))
	want := bytes.Clone(recordedFIHello)
	clearOrigin(t, got)
	clearOrigin(t, want)
	if !bytes.Equal(got, want) {
		t.Errorf("FIHello\n%x, recorded\n%x", got, want)
	}
	if st := node.Stats(); st.Connected != 2 || st.SetPeerInfo != 2 || st.Introduced != 1 {
		t.Errorf("%+v", st)
	}
	for reason, count := range engine.Stats().Drops {
		if count > 0 {
			t.Errorf("%d recorded packets dropped: %v", count, rtmfp.DropReason(reason))
		}
	}
	// The recording ends with both clients closing.
	if st := engine.Stats(); node.Stats().Peers != 0 {
		t.Errorf("%d peers, %d sessions left", node.Stats().Peers, st.Sessions)
	}
}

// clearOrigin clears the origin bits of an FIHello's reply address.
func clearOrigin(t *testing.T, body []byte) {
	t.Helper()
	n, rest, err := wire.ParseVLU(body)
	if err != nil || uint64(len(rest)) <= n {
		t.Fatalf("FIHello %x: %v", body, err)
	}
	rest[n] &^= 3
}
