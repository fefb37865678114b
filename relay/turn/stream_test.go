package turn

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"
)

// writeCertificate makes a self-signed one for a name, and tells where.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

var trusting = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // a certificate made for the test

// serveStream starts a server over TCP or TLS.
func serveStream(t testing.TB, s *Server, config *tls.Config) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.ServeStream(l, config) }()
	t.Cleanup(s.Close)
	return tcpAddr(l.Addr())
}

// streamServer starts a server over TCP or TLS, and gives a way to connect to it.
func streamServer(t *testing.T, transport Transport) (*Server, func() *client) {
	t.Helper()
	s, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	var server, mine *tls.Config
	if transport == TLS {
		c, err := NewCertificate(writeCertificate(t, t.TempDir(), "one"))
		if err != nil {
			t.Fatal(err)
		}
		server, mine = c.Config(), trusting
	}
	at := serveStream(t, s, server)
	return s, func() *client { return dialStream(t, at, mine, testUser, testPassword) }
}

// eachStream runs a test over TCP and TLS.
func eachStream(t *testing.T, f func(t *testing.T, s *Server, dial func() *client)) {
	for _, transport := range []Transport{TCP, TLS} {
		t.Run(transport.String(), func(t *testing.T) {
			s, dial := streamServer(t, transport)
			f(t, s, dial)
		})
	}
}

func TestStream(t *testing.T) {
	eachStream(t, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		if answer := c.ask(stun.MustBuild(stun.TransactionID, stun.BindingRequest)); answer.Type != stun.BindingSuccess {
			t.Errorf("%v", answer)
		}
		c.allocate()
		peer := listenUDP(t, elsewhere)
		echo(peer)
		if code := c.bind(0x4000, unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort())); code != 0 {
			t.Fatal(code)
		}
		// Frames of 4 to 8 bytes, which pion would keep until more comes; in one write, and byte by byte.
		var want, all []byte
		for n := range 9 {
			all = append(all, channelData(0x4000, bytes.Repeat([]byte{byte(n)}, n))...)
		}
		c.send(all)
		for _, b := range all {
			c.send([]byte{b})
		}
		want = append(all[:len(all):len(all)], all...)
		var got []byte
		for len(got) < len(want) {
			b := c.read(5 * time.Second)
			if b == nil {
				break
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %x\nwant %x", got, want)
		}
		if st := s.Stats(); st.Streams != 1 || st.Allocations[UDP] != 0 || st.PionSaid != 0 {
			t.Errorf("%+v", st)
		}
		c.conn.Close()
		eventually(t, "gone", func() bool { return s.Stats().Streams == 0 && len(s.Allocations(time.Now())) == 0 })
	})
}

// What is longer than can be relayed is left out, in one piece or in many, and the connection goes on with its
// allocation; a request is as the rest.
func TestStreamDropsLongFrames(t *testing.T) {
	eachStream(t, func(t *testing.T, s *Server, dial func() *client) {
		c := dial()
		long := [][]byte{
			channelData(0x4000, make([]byte, maxDatagram)),
			channelData(0x4000, make([]byte, 2000)),
			channelData(0x4001, make([]byte, 1<<16-1)), // a channel that nobody has
			sendIndication(netip.MustParseAddrPort("127.0.0.2:9"), make([]byte, 2000)),
			stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.RawAttribute{Type: 0x8077, Value: make([]byte, 1<<16-8)}).Raw,
		}
		c.allocate()
		peer := listenUDP(t, elsewhere)
		echo(peer)
		if code := c.bind(0x4000, unmap(peer.LocalAddr().(*net.UDPAddr).AddrPort())); code != 0 {
			t.Fatal(code)
		}
		for i, b := range long {
			want := channelData(0x4000, bytes.Repeat([]byte{byte(i)}, 1000))
			c.send(append(bytes.Clone(b), want...))
			if got := c.read(5 * time.Second); !bytes.Equal(got, want) {
				t.Fatalf("behind a frame of %d bytes: %x", len(b), got)
			}
			for piece := range slices.Chunk(append(bytes.Clone(b), want...), 777) {
				c.send(piece)
			}
			if got := c.read(5 * time.Second); !bytes.Equal(got, want) {
				t.Fatalf("behind a frame of %d bytes in pieces: %x", len(b), got)
			}
		}
		if _, code := c.do(stun.MethodRefresh); code != 0 {
			t.Errorf("Refresh: %d", code)
		}
		if st := s.Stats(); st.Drops[DropOversize] != uint64(2*len(long)) || st.Drops[DropStreamFrame] != 0 || st.Streams != 1 || st.Allocations[TCP]+st.Allocations[TLS] != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What is no frame ends the connection.
func TestStreamRefuses(t *testing.T) {
	eachStream(t, func(t *testing.T, s *Server, dial func() *client) {
		message := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
		for i, b := range append(spins(),
			[]byte("GET / HTTP/1.1\r\n\r\n"),
			[]byte{0x16, 0x03, 0x01, 0x02, 0, 1, 0, 1}, // TLS where none is
			[]byte{0x80, 0, 0, 0},
			append([]byte{0, 1, 0, 2}, message[4:]...),
			append(bytes.Clone(message[:4]), make([]byte, 16)...), // of RFC 3489
		) {
			c := dial()
			c.send(b)
			if c.read(5*time.Second) != nil {
				t.Errorf("%x got an answer", b)
			}
			want := uint64(i + 1)
			eventually(t, "closed", func() bool { st := s.Stats(); return st.Streams == 0 && st.Drops[DropStreamFrame] == want })
		}
	})
}

// A prefix has what it wants while half of all places are free, and then its share: others find room.
func TestStreamCaps(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFiles = 2 * 256
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := serveStream(t, s, nil)
	half, share := s.MaxStreams()/2, s.MaxStreams()/streamShare
	from := func(source string) *client {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		conn, err := d.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &client{t: t, conn: conn, stream: true}
	}
	refused := func(source string) {
		t.Helper()
		before := s.Stats().Drops[DropStreamLimit]
		if from(source).read(5*time.Second) != nil || s.Stats().Drops[DropStreamLimit] != before+1 {
			t.Errorf("one more of %s: %+v", source, s.Stats())
		}
	}
	var clients []*client
	for range half {
		clients = append(clients, from("127.0.0.1"))
	}
	eventually(t, "half taken", func() bool { return s.Stats().Streams == half })
	refused("127.0.0.1")
	for range share {
		from("127.0.1.1")
	}
	eventually(t, "the other prefix is in", func() bool { return s.Stats().Streams == half+share })
	refused("127.0.1.1")
	for _, c := range clients[:share+1] {
		c.conn.Close()
	}
	eventually(t, "less than half", func() bool { return s.Stats().Streams < half })
	again := from("127.0.0.1")
	if answer := again.ask(stun.MustBuild(stun.TransactionID, stun.BindingRequest)); answer.Type != stun.BindingSuccess {
		t.Errorf("%v", answer)
	}
}

// Descriptors are few: connections take half of them at most, so that clients over UDP have relays still; and no more
// relays are given than there are left.
func TestMaxFiles(t *testing.T) {
	cfg := testConfig()
	cfg.MaxFiles = 6
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at, packets := serveStream(t, s, nil), start(t, s)
	for range 5 {
		dialStream(t, at, nil, testUser, testPassword)
	}
	eventually(t, "counted", func() bool { return s.Stats().Drops[DropStreamLimit] == 2 })
	if n := s.Stats().Streams; n != 3 || s.MaxStreams() != 3 {
		t.Errorf("%d connections of %d", n, s.MaxStreams())
	}
	for range 3 {
		dial(t, packets, testUser, testPassword).allocate()
	}
	if _, code := dial(t, packets, testUser, testPassword).do(stun.MethodAllocate, overUDP); code != 508 {
		t.Errorf("a fourth relay: %d", code)
	}
}

// Who says nothing, or only half of something, does not keep his connection.
func TestStreamDeadlines(t *testing.T) {
	whole := slices.Clip(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	for _, test := range []struct {
		name string
		send func(c net.Conn)
		want time.Duration
	}{
		{"nothing", func(net.Conn) {}, frameTime},
		{"half a frame", func(c net.Conn) { _, _ = c.Write(whole[:10]) }, frameTime},
		{"a long frame first", func(c net.Conn) { _, _ = c.Write(spins()[0]) }, 0},
		{"half a long frame", func(c net.Conn) { _, _ = c.Write(append(whole, spins()[0]...)) }, frameTime},
		{"a long frame byte by byte", func(c net.Conn) {
			_, _ = c.Write(append(whole, spins()[0]...))
			for {
				if _, err := c.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, frameTime},
		{"a long frame, then nothing", func(c net.Conn) { _, _ = c.Write(append(whole, channelData(0x4000, make([]byte, 1<<16-1))...)) }, idleTime},
		{"a long frame, then half of one", func(c net.Conn) {
			time.Sleep(frameTime / 2)
			_, _ = c.Write(slices.Concat(whole, channelData(0x4000, make([]byte, 1<<16-1)), whole[:3]))
		}, frameTime/2 + frameTime},
		{"byte by byte", func(c net.Conn) {
			for _, b := range whole[:19] {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, frameTime},
		{"one frame", func(c net.Conn) { _, _ = c.Write(whole) }, idleTime},
		{"one and a half", func(c net.Conn) { _, _ = c.Write(append(whole, whole[:3]...)) }, frameTime},
		{"frames now and then", func(c net.Conn) {
			for range 5 {
				_, _ = c.Write(whole)
				time.Sleep(idleTime - time.Second)
			}
		}, 5*(idleTime-time.Second) + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := New(testConfig())
				if err != nil {
					t.Fatal(err)
				}
				mine, its := net.Pipe()
				l := &streamLink{conn: its, count: &s.count}
				l.front = newFront(s, l, TCP, netip.AddrPort{})
				begun := time.Now()
				var sender sync.WaitGroup
				sender.Go(func() { test.send(mine) })
				for err == nil {
					_, _, err = l.next()
				}
				if took := time.Since(begun); took != test.want {
					t.Errorf("ended after %v, want %v", took, test.want)
				}
				mine.Close()
				its.Close()
				sender.Wait()
			})
		})
	}
}

// Who does not read is cut off; until then he holds up nobody else's.
func TestStreamThatReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, its := net.Pipe()
		l := &streamLink{conn: its}
		begun := time.Now()
		if err := l.send([]byte("hello"), netip.AddrPort{}); err == nil {
			t.Error("sent")
		}
		if took := time.Since(begun); took != writeTime {
			t.Errorf("after %v", took)
		}
		if _, err := its.Write([]byte{0}); err == nil {
			t.Error("still open")
		}
		mine.Close()
	})
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	c, err := NewCertificate(writeCertificate(t, dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	name := func() string {
		t.Helper()
		leaf, err := x509.ParseCertificate(c.get(now).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	certFile, _ := writeCertificate(t, dir, "two")
	touch := func(age time.Duration) {
		t.Helper()
		if err := os.Chtimes(certFile, time.Time{}, time.Now().Add(age)); err != nil {
			t.Fatal(err)
		}
	}
	touch(time.Minute)
	now = now.Add(certificateCheck)
	if got := name(); got != "two" {
		t.Errorf("serves %s", got)
	}
	// A broken file is not taken.
	if err := os.WriteFile(certFile, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(2 * time.Minute)
	now = now.Add(certificateCheck)
	if got := name(); got != "two" {
		t.Errorf("serves %s", got)
	}
	writeCertificate(t, dir, "three")
	touch(3 * time.Minute)
	if got := name(); got != "two" {
		t.Errorf("looked again at once: %s", got)
	}
	now = now.Add(certificateCheck)
	if got := name(); got != "three" {
		t.Errorf("serves %s", got)
	}
	if _, err := NewCertificate(filepath.Join(dir, "none.pem"), certFile); err == nil {
		t.Error("a missing file is no error")
	}
}

// A renewed certificate may be as old as the one before, and in a file that a link leads to now: its content counts.
// What cannot be read is reported once, and the old one stays.
func TestCertificateByContent(t *testing.T) {
	root := t.TempDir()
	dirs := map[string]string{}
	written := time.Now().Add(-time.Hour)
	for _, name := range []string{"one", "two"} {
		dirs[name] = filepath.Join(root, name)
		if err := os.Mkdir(dirs[name], 0o700); err != nil {
			t.Fatal(err)
		}
		certFile, keyFile := writeCertificate(t, dirs[name], name)
		for _, f := range []string{certFile, keyFile} {
			if err := os.Chtimes(f, time.Time{}, written); err != nil {
				t.Fatal(err)
			}
		}
	}
	live := filepath.Join(root, "live")
	lead := func(name string) {
		t.Helper()
		_ = os.Remove(live)
		if err := os.Symlink(dirs[name], live); err != nil {
			t.Skipf("SKIPPED: %v", err)
		}
	}
	lead("one")
	certFile, keyFile := writeCertificate(t, t.TempDir(), "x")
	certFile, keyFile = filepath.Join(live, filepath.Base(certFile)), filepath.Join(live, filepath.Base(keyFile))
	c, err := NewCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	var reported []error
	c.Report(func(err error) { reported = append(reported, err) })
	name := func() string {
		t.Helper()
		leaf, err := x509.ParseCertificate(c.get(time.Now()).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	lead("two")
	if err := c.Renew(); err != nil || name() != "two" {
		t.Errorf("serves %s: %v", name(), err)
	}
	if err := os.Remove(live); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := c.Renew(); err == nil || name() != "two" {
			t.Errorf("without files it serves %s: %v", name(), err)
		}
	}
	if len(reported) != 1 {
		t.Errorf("reported %v, want it once", reported)
	}
	lead("one")
	if err := c.Renew(); err != nil || name() != "one" {
		t.Errorf("serves %s: %v", name(), err)
	}
}

// Who connects after a renewal sees the new certificate; who was connected before goes on.
func TestCertificateIsRenewedWhileServing(t *testing.T) {
	dir := t.TempDir()
	certificate, err := NewCertificate(writeCertificate(t, dir, "one"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	at := serveStream(t, s, certificate.Config())
	shown := func(c *client) string {
		return c.conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	before := dialStream(t, at, trusting, testUser, testPassword)
	before.allocate()
	certFile, _ := writeCertificate(t, dir, "two")
	if err := os.Chtimes(certFile, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	certificate.mu.Lock()
	certificate.checked = certificate.checked.Add(-certificateCheck)
	certificate.mu.Unlock()
	after := dialStream(t, at, trusting, testUser, testPassword)
	if shown(before) != "one" || shown(after) != "two" {
		t.Errorf("%s, then %s", shown(before), shown(after))
	}
	if _, code := before.do(stun.MethodRefresh); code != 0 {
		t.Errorf("Refresh over the old connection: %d", code)
	}
}
