package flash

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// benchPacketLen makes 1,200 bytes of cipher blocks with and without sequence
// number and checksum.
const benchPacketLen = 1192

// pair makes both ends' keys of a session under one policy.
func pair(t testing.TB, p Policy) (initiator, responder *SessionKeys) {
	t.Helper()
	client, err := NewIdentity(IdentityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewIdentity(IdentityOptions{AcceptAncillary: true})
	if err != nil {
		t.Fatal(err)
	}
	k, err := client.BeginKeying(server.Certificate(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	skrc, responder, err := server.AnswerKeying(client.Certificate(), k.Component(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if initiator, err = k.Finish(skrc); err != nil {
		t.Fatal(err)
	}
	return initiator, responder
}

var benchPolicies = []struct {
	name   string
	policy Policy
}{
	{"checksum", Policy{}},
	{"hmac", Policy{HMAC: Require, HMACLength: 16}},
	{"hmac+sseq", Policy{Modern: true}},
}

func BenchmarkSeal(b *testing.B) {
	for _, bench := range benchPolicies {
		b.Run(bench.name, func(b *testing.B) {
			keys, _ := pair(b, bench.policy)
			packet := make([]byte, benchPacketLen)
			buf := make([]byte, 0, 2048)
			b.SetBytes(benchPacketLen)
			b.ReportAllocs()
			for b.Loop() {
				buf = keys.Sealer.Finish(append(keys.Sealer.Begin(buf), packet...), [4]byte{1, 2, 3, 4})
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, bench := range benchPolicies {
		b.Run(bench.name, func(b *testing.B) {
			near, far := pair(b, bench.policy)
			datagram := near.Sealer.Finish(append(near.Sealer.Begin(nil), make([]byte, benchPacketLen)...), [4]byte{1, 2, 3, 4})
			dst := make([]byte, 0, 2048)
			b.SetBytes(benchPacketLen)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := far.Opener.Open(dst, datagram); err != nil {
					b.Fatal(err)
				}
				far.Opener.window = replayWindow{}
			}
		})
	}
}

// BenchmarkRatio measures Seal and Open beside the bare primitives: AES-128-CBC
// and HMAC-SHA256 of the standard library, state reused, on as many blocks. They
// take turns, and the fastest turns are compared, so that other load does not
// count. At most 1.3 is wanted.
func BenchmarkRatio(b *testing.B) {
	block, err := aes.NewCipher([]byte(defaultKey))
	if err != nil {
		b.Fatal(err)
	}
	near, far := pair(b, Policy{HMAC: Require})
	packet := make([]byte, benchPacketLen)
	sealed := near.Sealer.Finish(append(near.Sealer.Begin(nil), packet...), [4]byte{1, 2, 3, 4})
	buf, src := make([]byte, 0, 2048), make([]byte, 1200)
	mac := hmac.New(sha256.New, make([]byte, 32))
	sum := make([]byte, 0, sha256.Size)
	bare := func(mode cbcMode) func() {
		return func() {
			mode.SetIV(zeroIV[:])
			mode.CryptBlocks(buf[:len(src)], src)
			mac.Reset()
			mac.Write(src)
			sum = mac.Sum(sum[:0])
		}
	}
	for _, bench := range []struct {
		name       string
		bare, ours func()
	}{
		{"seal", bare(cipher.NewCBCEncrypter(block, zeroIV[:]).(cbcMode)), func() {
			buf = near.Sealer.Finish(append(near.Sealer.Begin(buf), packet...), [4]byte{1, 2, 3, 4})
		}},
		{"open", bare(cipher.NewCBCDecrypter(block, zeroIV[:]).(cbcMode)), func() {
			if _, err := far.Opener.Open(buf, sealed); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			fastest := [2]time.Duration{time.Hour, time.Hour}
			for b.Loop() {
				for i, f := range []func(){bench.bare, bench.ours} {
					const turn = 20
					start := time.Now()
					for range turn {
						f()
					}
					fastest[i] = min(fastest[i], time.Since(start)/turn)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(fastest[0]), "bare-ns")
			b.ReportMetric(float64(fastest[1]), "ours-ns")
			b.ReportMetric(float64(fastest[1])/float64(fastest[0]), "times-bare")
		})
	}
}

// BenchmarkSessionKeysMemory reports the resident bytes of one session's keys.
func BenchmarkSessionKeysMemory(b *testing.B) {
	for _, bench := range benchPolicies {
		b.Run(bench.name, func(b *testing.B) {
			near, _ := pair(b, bench.policy)
			const n = 1000
			held := make([]*SessionKeys, n)
			var before, after runtime.MemStats
			skic := appendNegotiation(nil, canSend, canSend, 16)
			skrc := appendNegotiation(nil, flagsOf(near.Sealer.mac != nil), flagsOf(near.Sealer.sequenced), 16)
			if near.Sealer.mac == nil {
				skic = appendNegotiation(nil, 0, 0, 0)
			}
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range held {
					var err error
					if held[i], err = DeriveKeys([]byte("secret"), skic, skrc); err != nil {
						b.Fatal(err)
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				clear(held)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/session")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func BenchmarkDeriveKeys(b *testing.B) {
	secret := make([]byte, 128)
	skic, skrc := appendNegotiation(nil, canSend, canSend, 16), appendNegotiation(nil, canSend, canSend, 16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DeriveKeys(secret, skic, skrc); err != nil {
			b.Fatal(err)
		}
	}
}

func flagsOf(on bool) flags {
	if on {
		return canSend | request
	}
	return 0
}

func BenchmarkAnswerKeying(b *testing.B) {
	for _, g := range []Group{Group2, Group14} {
		b.Run(fmt.Sprint(int(g)), func(b *testing.B) {
			client, err := NewIdentity(IdentityOptions{Static: []Group{g}})
			if err != nil {
				b.Fatal(err)
			}
			server, err := NewIdentity(IdentityOptions{AcceptAncillary: true})
			if err != nil {
				b.Fatal(err)
			}
			k, err := client.BeginKeying(server.Certificate(), Policy{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			pair, err := GenerateKey(g, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := server.AnswerKeying(client.Certificate(), k.Component(), Policy{}, oneKey{pair}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
