package pairing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// The headers of a hook.
const (
	HeaderID        = "Pileus-Event-Id"  // the same for every try of one event
	HeaderTimestamp = "Pileus-Timestamp" // seconds since 1970, of this try
	HeaderSignature = "Pileus-Signature" // "v1=" and Sign in hexadecimal digits
)

// signatureVersion stands before the signature, so that another one can follow.
const signatureVersion = "v1="

// Sign is HMAC-SHA256, under the shared secret, over the timestamp in decimal
// digits, a full stop, the event ID, a full stop and the body.
func Sign(secret []byte, timestamp, id string, body []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(timestamp + "." + id + "."))
	h.Write(body)
	return h.Sum(nil)
}

// sign sets the headers of a hook sent at now.
func sign(header http.Header, secret []byte, now time.Time, id string, body []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	header.Set(HeaderID, id)
	header.Set(HeaderTimestamp, at)
	header.Set(HeaderSignature, signatureVersion+hex.EncodeToString(Sign(secret, at, id, body)))
}

// What a Receiver refuses.
var (
	ErrSignature = errors.New("pairing: the signature does not fit the secret and the body")
	ErrStale     = errors.New("pairing: the timestamp is more than a minute off; do both clocks run right?")
	ErrReplayed  = errors.New("pairing: the event was received before")
)

const (
	// clockSkew is how far the clocks of node and core may differ.
	clockSkew = time.Minute
	// maxSeen bounds the event IDs a Receiver remembers within 2 clockSkew.
	maxSeen = 1 << 16
)

// Receiver checks hooks: what a core written in Go needs. It is not safe for
// several goroutines at once.
type Receiver struct {
	secret []byte
	seen   map[string]time.Time
	order  []string // oldest first
}

// NewReceiver makes a Receiver for a secret.
func NewReceiver(secret []byte) *Receiver {
	return &Receiver{secret: secret, seen: make(map[string]time.Time)}
}

// Check says whether a hook with these headers and body, received at now, is
// genuine and new. A core that could not keep an event does not call [Receiver.Keep]
// and answers with a status of 500, and gets it again. One that comes again although it
// was kept, [ErrReplayed], is answered as before: the answer was lost.
func (r *Receiver) Check(now time.Time, header http.Header, body []byte) error {
	id, at := header.Get(HeaderID), header.Get(HeaderTimestamp)
	given, ok := cutHex(header.Get(HeaderSignature))
	if !ok || !hmac.Equal(given, Sign(r.secret, at, id, body)) {
		return ErrSignature
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > clockSkew {
		return ErrStale
	}
	if _, twice := r.seen[id]; twice {
		return ErrReplayed
	}
	return nil
}

// Keep remembers that the event was taken.
func (r *Receiver) Keep(now time.Time, header http.Header) {
	id := header.Get(HeaderID)
	if _, twice := r.seen[id]; twice {
		return
	}
	for len(r.order) > 0 && (len(r.order) >= maxSeen || now.Sub(r.seen[r.order[0]]) > 2*clockSkew) {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	r.seen[id] = now
	r.order = append(r.order, id)
}

func cutHex(signature string) ([]byte, bool) {
	if len(signature) != len(signatureVersion)+2*sha256.Size || signature[:len(signatureVersion)] != signatureVersion {
		return nil, false
	}
	b, err := hex.DecodeString(signature[len(signatureVersion):])
	return b, err == nil
}
