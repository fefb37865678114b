package pairing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxReason is the bytes of a core's reason that go on to a client.
const maxReason = 200

// verdict reads an answer to a question. What is no clear yes or no is none: not a
// status alone, and not a page that somebody else has put there. A no may come with a
// status of 4xx, as frameworks want it; a yes may not.
func (a *answer) verdict() (Verdict, *failed) {
	fine := a.status/100 == 2
	if len(a.body) > maxAnswer {
		return Verdict{}, &failed{TooLong, fmt.Sprintf("status %d and more than %d bytes", a.status, maxAnswer)}
	}
	v, err := readVerdict(a.body)
	switch {
	case fine && err != nil:
		text := fmt.Sprintf("status %d and %s: %v", a.status, show(a.body), err)
		if c := a.header.Get("Content-Encoding"); c != "" {
			text += "; it is packed by " + c
		}
		return Verdict{}, &failed{NoVerdict, text}
	case !fine && (a.status/100 != 4 || err != nil || v.Allow):
		return Verdict{}, &failed{Status, fmt.Sprintf("status %d and %s", a.status, show(a.body))}
	}
	return v, nil
}

// A verdictError is what is missing in an answer.
type verdictError string

func (e verdictError) Error() string { return string(e) }

const (
	errNoObject  = verdictError(`it is not one JSON object such as {"allow": true}`)
	errNoAllow   = verdictError(`"allow" is not there, or neither true nor false`)
	errAmbiguous = verdictError(`"allow" is there twice`)
)

// readVerdict takes the ways in which frameworks write an object: a byte order mark, which
// RFC 8259 8.1 has readers ignore, members in other case, a truth value as text or number.
func readVerdict(text []byte) (v Verdict, err error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !json.Valid(text) {
		return v, errNoObject
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, _ := d.Token(); t != json.Delim('{') {
		return v, errNoObject
	}
	var allow []byte
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return v, errNoObject
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return v, errNoObject
		}
		name, _ := key.(string)
		switch {
		case strings.EqualFold(name, "allow") && allow != nil:
			return v, errAmbiguous
		case strings.EqualFold(name, "allow"):
			allow = value
		case strings.EqualFold(name, "reason"):
			_ = json.Unmarshal(value, &v.Reason) // else without one
		}
	}
	v.Reason = cutText(v.Reason, maxReason)
	switch strings.ToLower(strings.Trim(string(allow), `"`)) {
	case "true", "1":
		v.Allow = true
	case "false", "0":
	default:
		return v, errNoAllow
	}
	return v, nil
}

// cutText is the whole characters of the first n bytes.
func cutText(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// retryAfter is how long the core asks to be left alone (RFC 9110 10.2.3): 0, not at all.
func (a *answer) retryAfter(now time.Time) time.Duration {
	text := a.header.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// final reports whether a status means that the same event will never be taken.
// One that waits for better days must not hold up all that follow.
func final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, // a wrong secret or URL is put right
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}
