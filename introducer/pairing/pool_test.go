package pairing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pileus/rtmfp/flash"
)

type link struct {
	id    byte
	addr  string
	heard time.Time
}

func (l *link) PeerID() flash.PeerID { return flash.PeerID{l.id} }
func (l *link) Addr() netip.AddrPort { return netip.MustParseAddrPort(l.addr) }
func (l *link) Heard() time.Time     { return l.heard }

var (
	epoch  = time.Unix(1_700_000_000, 0)
	client = netip.MustParseAddrPort("203.0.113.9:5000")
)

func newCoreOf(id byte, load uint64) *Core {
	return &Core{Link: &link{id, fmt.Sprintf("192.0.2.%d:1935", id), epoch}, Registration: &Registration{Reflexive: true, Load: load, Placed: true}}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a reference server was recorded to say (testdata/vectors/s04_redirector.json).
func TestRecordedRegistration(t *testing.T) {
	nonce := unhex(t, "0f6cf532ca06b1bfd1ec9dfcba02a7a965913ff9ee1d0822a497967459ae75b0")
	keys := map[string]string{"user1": "s3cret"}
	var r Registration
	for i, text := range []string{
		"1d06e029d3176848ac5156c3a1ad882c520bdb9a9adaf5858fd7d479a3b372f13e7573657231",
		"05010d080a00c000020a078f140a8020010db8000000000000000000000010078f",
		"0f00", "0f01", "0f00", "00",
	} {
		opened, err := r.Take(unhex(t, text), nonce, keys)
		if err != nil || opened != (i > 0) {
			t.Fatalf("message %d: %v, %v", i, opened, err)
		}
	}
	if r.KeyID != "user1" || !r.Reflexive || !r.Draining || !r.Placed || fmt.Sprint(r.Addresses) != "[192.0.2.10:1935 [2001:db8::10]:1935]" {
		t.Errorf("%+v", r)
	}
	if got := hex.EncodeToString(AppendObserved(nil, netip.MustParseAddrPort("127.0.0.1:22002"))); got != "0d007f00000155f2" {
		t.Errorf("observed %s", got)
	}
	for name, text := range map[string]string{
		"command before": "0f00", "short": "1d00",
		"wrong": "1d16e029d3176848ac5156c3a1ad882c520bdb9a9adaf5858fd7d479a3b372f13e7573657231",
	} {
		var r Registration
		if _, err := r.Take(unhex(t, text), nonce, keys); !errors.Is(err, ErrAuth) || r.KeyID != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := new(Registration).Take(unhex(t, "1d06e029d3176848ac5156c3a1ad882c520bdb9a9adaf5858fd7d479a3b372f13e75"), nonce, keys); err != nil {
		t.Errorf("an unknown key ID: %v", err)
	}
}

func TestDrainingFirstStaysRegistered(t *testing.T) {
	r := Registration{KeyID: "k"}
	for _, m := range [][]byte{{cmdDrain}, {cmdSettings, 1, optReflexive}} {
		if _, err := r.Take(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		if !r.Placed || !r.Draining {
			t.Errorf("after %x: %+v", m, r)
		}
	}
	// New settings replace the old ones.
	if _, err := r.Take([]byte{cmdSettings}, nil, nil); err != nil || r.Reflexive {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestChoose(t *testing.T) {
	p := NewPool()
	a, b, c := newCoreOf(1, 5), newCoreOf(2, 5), newCoreOf(3, 9)
	for _, core := range []*Core{a, b, c} {
		p.Add(core)
	}
	for i := range 100 {
		p.Choose(epoch, client, []byte{byte(i)}, false)
	}
	if a.Sent != 50 || b.Sent != 50 || c.Sent != 0 {
		t.Errorf("sent %d, %d, %d", a.Sent, b.Sent, c.Sent)
	}
	// A client that asks again has not reached it.
	var order []byte
	for range 4 {
		order = append(order, p.Choose(epoch, client, []byte("again"), false).PeerID()[0])
	}
	if order[0] == order[1] || order[2] != 3 || order[3] == 3 {
		t.Errorf("asked again: %v", order)
	}
	a.Draining = true
	for i := range 10 {
		if p.Choose(epoch, client, []byte{200, byte(i)}, false) != b {
			t.Fatal("a draining core got a client")
		}
	}
	if p.Find(a.PeerID()) != a {
		t.Error("a draining core cannot be found")
	}
	// One that fell silent gets none.
	b.Link.(*link).heard = epoch.Add(-silence - time.Second)
	if got := p.Choose(epoch, client, []byte("x"), false); got != c {
		t.Errorf("%v", got)
	}
	v6 := netip.MustParseAddrPort("[2001:db8::1]:5000")
	if got := p.Choose(epoch, v6, []byte("y"), false); got != nil {
		t.Errorf("sent to another family: %v", got)
	}
	if got := p.Choose(epoch, v6, []byte("y"), true); got != c {
		t.Errorf("not sent to another family: %v", got)
	}
	for i := range 2 * maxAsked {
		p.Choose(epoch, client, []byte(fmt.Sprint(i)), false)
	}
	if p.asked.Len() > maxAsked {
		t.Errorf("%d searches are remembered", p.asked.Len())
	}
}

// An older session that ends does not take the newer registration along.
func TestReconnectedCore(t *testing.T) {
	p := NewPool()
	older, newer := newCoreOf(1, 0), newCoreOf(1, 0)
	p.Add(older)
	p.Add(newer)
	if len(p.Cores()) != 1 || p.Find(older.PeerID()) != newer {
		t.Error("the newer one does not count")
	}
	p.Remove(older)
	if p.Find(older.PeerID()) != newer || p.Choose(epoch, client, nil, false) != newer {
		t.Error("the newer one is gone")
	}
	p.Remove(newer)
	if p.Find(older.PeerID()) != nil || p.Choose(epoch, client, nil, false) != nil {
		t.Error("it is still there")
	}
}
