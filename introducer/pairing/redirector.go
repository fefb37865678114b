package pairing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/netip"

	"pileus/rtmfp/wire"
)

// RedirectorURI is the metadata of the flow on which a core server registers. A
// zero byte and options may follow it.
const RedirectorURI = "http://zenomt.com/ns/rtmfp#redirector"

// IsRedirector tells whether a flow's metadata is that of the redirector protocol.
func IsRedirector(metadata []byte) bool {
	rest, ok := bytes.CutPrefix(metadata, []byte(RedirectorURI))
	return ok && (len(rest) == 0 || rest[0] == 0)
}

// The commands of the redirector protocol, each the first byte of a message.
const (
	cmdDrain    = 0x00
	cmdSettings = 0x05
	cmdObserved = 0x0d // to the core
	cmdLoad     = 0x0f
	cmdUser     = 0x10
	cmdAuth     = 0x1d

	optReflexive = 0x0d
	optAddress   = 0x0a
)

// ExceptionAuth ends the flow of a core that did not prove who it is.
const ExceptionAuth = 0x0a

// maxAdvertised is how many addresses of one core are taken.
const maxAdvertised = 16

// ErrAuth is a wrong password, or a command before one was shown.
var ErrAuth = errors.New("pairing: the core did not prove that it knows a key")

// Registration is one core's session, as it registers.
type Registration struct {
	KeyID     string // by which it proved itself; empty: not yet
	Reflexive bool   // its observed address is advertised
	Addresses []netip.AddrPort
	Load      uint64 // higher is busier
	Draining  bool   // for good: a core that is about to stop stays so
	// Placed: it has said what to do with it, and can be found.
	Placed bool
}

// Take obeys a message of the core. keys are passwords by key ID, nonce is the
// near nonce of the session. opened: from now on it wants to know its observed
// address. The only error is ErrAuth.
func (r *Registration) Take(message, nonce []byte, keys map[string]string) (opened bool, err error) {
	if len(message) == 0 {
		return false, nil
	}
	command, payload := message[0], message[1:]
	if command == cmdAuth {
		return false, r.auth(payload, nonce, keys)
	}
	if r.KeyID == "" {
		return false, ErrAuth
	}
	switch command {
	case cmdSettings:
		r.settings(payload)
		r.Placed = true
	case cmdDrain:
		// A core that drains is still found by its fingerprint, also if it says so
		// before anything else.
		r.Draining, r.Placed = true, true
	case cmdLoad:
		if load, _, err := wire.ParseVLU(payload); err == nil {
			r.Load = load
		}
	case cmdUser:
	}
	return true, nil
}

func (r *Registration) auth(payload, nonce []byte, keys map[string]string) error {
	if len(payload) < sha256.Size {
		return ErrAuth
	}
	id := string(payload[sha256.Size:])
	password, known := keys[id]
	if !known {
		return nil // it may know another
	}
	h := hmac.New(sha256.New, []byte(password))
	h.Write(nonce)
	if !hmac.Equal(h.Sum(nil), payload[:sha256.Size]) {
		return ErrAuth
	}
	r.KeyID = id
	return nil
}

func (r *Registration) settings(list []byte) {
	r.Reflexive, r.Addresses = false, nil
	for o := range wire.Options(list) {
		switch o.Type {
		case optReflexive:
			r.Reflexive = true
		case optAddress:
			if a, _, err := wire.ParseAddress(o.Value); err == nil && len(r.Addresses) < maxAdvertised {
				r.Addresses = append(r.Addresses, a.AddrPort)
			}
		}
	}
}

// AppendObserved appends the message that tells a core its observed address.
func AppendObserved(b []byte, a netip.AddrPort) []byte {
	return wire.Address{AddrPort: a}.Append(append(b, cmdObserved))
}
