package main

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// target is a server as somebody typed it: HOST[:PORT], or one of the URIs that stand
// in the settings of other programs.
type target struct {
	host  string
	port  uint16 // 0: none was named
	stun  bool   // by a URI of STUN or TURN
	shown string // what was typed, without a password
	notes []string
}

// scheme is what the beginning of a URI says.
type scheme struct {
	stun, tls, node bool
}

// schemes are those of RFC 7064, 7065 and 7425, and what people write instead.
var schemes = map[string]scheme{
	"stun": {stun: true}, "stuns": {stun: true, tls: true},
	"turn": {stun: true}, "turns": {stun: true, tls: true},
	"rtmfp": {node: true}, "udp": {},
}

// others' schemes are told from hosts of that name.
var otherSchemes = []string{"http", "https", "ws", "wss", "tcp", "tls", "dtls", "rtmp", "sip", "sips", "ice", "file"}

func (t *target) portsOr(ports ...uint16) []uint16 {
	if t.port != 0 {
		return []uint16{t.port}
	}
	return ports
}

// readTarget reads what a flag names.
func readTarget(flag, typed string) (target, error) {
	text := strings.TrimSpace(typed)
	t := target{shown: text}
	if strings.ContainsAny(text, ", \t\r\n") {
		return t, usage("%s: %q: each server has a %[1]s of its own", flag, text)
	}
	begins, rest, isURI := strings.Cut(text, ":")
	begins = strings.ToLower(begins)
	of, known := schemes[begins]
	if _, err := strconv.ParseUint(rest, 10, 16); err == nil { // a host of that name, and its port
		isURI, of = false, scheme{}
	}
	switch {
	case isURI && (slices.Contains(otherSchemes, begins) || !known && strings.HasPrefix(rest, "//")):
		return t, usage("%s: %s: is not asked; name the host that STUN or a pileus node runs on: %s", flag, begins, example(rest))
	case isURI && known:
		text = t.readURI(of, strings.TrimPrefix(rest, "//"))
	}
	if err := t.readHost(flag, text); err != nil {
		return t, err
	}
	switch {
	case of.node && t.port == 0:
		t.port = nodePort
	case of.tls:
		t.port = 0
		t.notes = append(t.notes, begins+": names a port of TLS, which tells nothing of UDP: UDP is asked at the usual ports")
	}
	return t, nil
}

// readURI returns what is left of a URI when only host and port are wanted. What is
// left out is shown nowhere: it may be a password.
func (t *target) readURI(of scheme, text string) string {
	text, query, _ := strings.Cut(text, "?")
	if user := strings.LastIndexByte(text, '@'); user >= 0 {
		text = text[user+1:]
		t.notes = append(t.notes, "user and password are for --turn: Binding requests take none")
	}
	host, path, _ := strings.Cut(text, "/")
	if of.node || path == "" {
		text = host
	}
	t.stun, t.shown = of.stun, text
	if query = strings.ToLower(query); of.stun && !of.tls && query != "" && query != "transport=udp" {
		t.notes = append(t.notes, "UDP is asked, whatever transport the URI names")
	}
	return text
}

func (t *target) readHost(flag, text string) error {
	bad := usage("%s: %q is not of the form HOST[:PORT], nor stun:HOST[:PORT]; an IPv6 address with a port is [ADDRESS]:PORT", flag, text)
	if _, err := netip.ParseAddr(text); err == nil { // also of IPv6, without brackets
		t.host = text
		return nil
	}
	host, port, hasPort := strings.Cut(text, ":")
	if inside, ok := strings.CutPrefix(text, "["); ok {
		var behind string
		if host, behind, ok = strings.Cut(inside, "]"); !ok {
			return bad
		}
		if port, hasPort = strings.CutPrefix(behind, ":"); !hasPort && behind != "" {
			return bad
		}
		if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() {
			return bad
		}
	}
	if strings.ContainsAny(port, ":[]") {
		return bad
	}
	if host == "" || strings.ContainsAny(text, "/@?#\\\"'") {
		return bad
	}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return usage("%s: %q is no port", flag, port)
		}
		t.port = uint16(n)
	}
	t.host = host
	return nil
}

// example is the host of a URI that is refused, to be typed instead.
func example(rest string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
	if user := strings.LastIndexByte(host, '@'); user >= 0 {
		host = host[user+1:]
	}
	if h, _, ok := strings.Cut(host, ":"); ok && !strings.HasPrefix(host, "[") {
		host = h
	}
	return host
}
