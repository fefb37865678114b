package rtmfp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// A cookieJar makes and checks RHello cookies without keeping any (RFC 7016
// 3.5.1.1.2). A cookie is
//
//	issued[4] generation[1] zero[11] | own[16] | bound[16] | zero[16]
//
// where own is a one-block PRF of the first 16 bytes, so that a cookie of ours
// is recognised from any address (3.5.1.2), and bound continues it as a CBC-MAC
// over the address. Both have one fixed length each, under keys of their own,
// which is what makes these constructions sound.
type cookieJar struct {
	rand  io.Reader
	epoch time.Time
	gens  [2]cookieKeys // the one issuing and its predecessor, at gen & 1
	gen   uint8
	since time.Time // when gen began
}

type cookieKeys struct{ own, bound cipher.Block }

type cookieVerdict uint8

const (
	cookieForged cookieVerdict = iota
	cookieExpired
	cookieElsewhere // ours, but made for another address
	cookieRetired   // ours, but from before what is remembered of accepted IIKeyings
	cookieValid
)

func newCookieJar(now time.Time, rand io.Reader) (*cookieJar, error) {
	j := &cookieJar{rand: rand, epoch: now, since: now}
	for i := range j.gens {
		k, err := newCookieKeys(rand)
		if err != nil {
			return nil, err
		}
		j.gens[i] = k
	}
	return j, nil
}

func newCookieKeys(rand io.Reader) (cookieKeys, error) {
	var key [32]byte
	if _, err := io.ReadFull(rand, key[:]); err != nil {
		return cookieKeys{}, fmt.Errorf("rtmfp: cookie key: %w", err)
	}
	own, err := aes.NewCipher(key[:16])
	if err != nil {
		return cookieKeys{}, err
	}
	bound, err := aes.NewCipher(key[16:])
	return cookieKeys{own, bound}, err
}

// rotate replaces the keys once per lifetime, so the predecessor's cookies stay
// good for a whole one.
func (j *cookieJar) rotate(now time.Time) {
	if now.Sub(j.since) < cookieLifetime {
		return
	}
	k, err := newCookieKeys(j.rand)
	if err != nil {
		return // an older key is better than none
	}
	j.gen++
	j.gens[j.gen&1] = k
	j.since = now
}

// append adds a cookie for addr to b.
func (j *cookieJar) append(b []byte, now time.Time, addr netip.AddrPort) []byte {
	j.rotate(now)
	var c [cookieLen]byte
	binary.BigEndian.PutUint32(c[:4], uint32(now.Sub(j.epoch)/time.Second))
	c[4] = j.gen
	j.gens[j.gen&1].seal(&c, addr)
	return append(b, c[:]...)
}

func (k *cookieKeys) seal(c *[cookieLen]byte, addr netip.AddrPort) {
	k.own.Encrypt(c[16:32], c[:16])
	var block [32]byte
	ip := addr.Addr().As16()
	copy(block[:16], ip[:])
	binary.BigEndian.PutUint16(block[16:], addr.Port())
	mac := c[32:48]
	k.bound.Encrypt(mac, c[:16])
	subtle.XORBytes(mac, mac, block[:16])
	k.bound.Encrypt(mac, mac)
	subtle.XORBytes(mac, mac, block[16:])
	k.bound.Encrypt(mac, mac)
}

// checkCookie is cookieJar.check, but for cookies that a recorded IIKeying may have come
// with which is forgotten.
func (e *Engine) checkCookie(cookie []byte, addr netip.AddrPort) cookieVerdict {
	v := e.cookies.check(cookie, e.now, addr)
	if v == cookieValid && e.cookies.issued(cookie).Before(e.seen.oldSince) {
		return cookieRetired
	}
	return v
}

// issued is when a cookie of ours was made, in whole seconds, rounded down.
func (j *cookieJar) issued(cookie []byte) time.Time {
	return j.epoch.Add(time.Duration(binary.BigEndian.Uint32(cookie)) * time.Second)
}

func (j *cookieJar) check(cookie []byte, now time.Time, addr netip.AddrPort) cookieVerdict {
	if len(cookie) != cookieLen {
		return cookieForged
	}
	var want [cookieLen]byte
	copy(want[:16], cookie)
	gen := want[4]
	if gen != j.gen && gen != j.gen-1 {
		return cookieExpired
	}
	j.gens[gen&1].seal(&want, addr)
	if subtle.ConstantTimeCompare(cookie[:32], want[:32]) != 1 {
		return cookieForged
	}
	if now.Sub(j.issued(want[:])) > cookieLifetime+time.Second {
		return cookieExpired
	}
	if subtle.ConstantTimeCompare(cookie, want[:]) != 1 {
		return cookieElsewhere
	}
	return cookieValid
}
