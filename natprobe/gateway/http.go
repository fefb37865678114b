package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Devices speak HTTP as it was once, or as somebody remembers it: lengths are wrong or
// missing, lines end as they like, connections stay open. What matters is in the XML, so
// that the body is what comes until that ends, or nothing more comes.

// head is the beginning of an HTTP response.
type head struct {
	status int
	fields [][2]string
}

func (h *head) get(name string) string {
	for _, f := range h.fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// parseHead reads one, and returns what is behind it. Lines that are none are passed
// over.
func parseHead(b []byte) (h head, rest []byte, ok bool) {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) < 2 || !strings.HasPrefix(strings.ToUpper(words[0]), "HTTP/") {
		return h, nil, false
	}
	// "200OK" is a status, too.
	digits := strings.IndexFunc(words[1]+" ", func(r rune) bool { return r < '0' || r > '9' })
	if h.status, _ = strconv.Atoi(words[1][:digits]); h.status == 0 {
		return h, nil, false
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		text := strings.TrimSpace(string(line))
		if text == "" {
			return h, rest, true
		}
		if name, value, found := strings.Cut(text, ":"); found {
			h.fields = append(h.fields, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
	return h, nil, true
}

// headEnds reports whether b has a whole head.
func headEnds(b []byte) bool {
	return bytes.Contains(b, []byte("\r\n\r\n")) || bytes.Contains(b, []byte("\n\n"))
}

// fetch asks the device, and nobody else, and returns the body.
func (d device) fetch(ctx context.Context, method string, u *url.URL, body string, fields ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	conn, err := d.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: natprobe UPnP/1.1\r\n", method, u.RequestURI(), u.Host)
	for _, f := range fields {
		request.WriteString(f + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(body))
	}
	request.WriteString("\r\n" + body)
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return nil, err
	}
	return receive(conn)
}

// dial connects to the device, whatever name of it the URL has.
func (d device) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := uint64(80)
	if p := u.Port(); p != "" {
		var err error
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			return nil, errStrange
		}
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(d.at, uint16(port)).String())
}

// receive reads a response until its XML is whole, it ends, or nothing more comes.
func receive(conn io.Reader) ([]byte, error) {
	var got []byte
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		if body, whole := bodyOf(got); whole || err != nil {
			return ended(body, err)
		}
		if len(got) > maxHeader && !headEnds(got) || len(got) > maxHeader+maxBody {
			return nil, errStrange
		}
	}
}

// ended is what there is of a body when no more of it comes: an error is one only if
// there is nothing.
func ended(body []byte, err error) ([]byte, error) {
	switch {
	case len(body) > 0:
		return body, nil
	case err == nil || errors.Is(err, io.EOF):
		return nil, errStrange
	}
	return nil, err
}

// bodyOf is the body of what has come so far; whole if its XML has ended.
func bodyOf(b []byte) (body []byte, whole bool) {
	if !headEnds(b) {
		return nil, false
	}
	h, body, ok := parseHead(b)
	switch {
	case !ok:
		return nil, false
	case h.status/100 == 1: // "100 Continue" stands before the response itself
		return bodyOf(body)
	case strings.Contains(strings.ToLower(h.get("Transfer-Encoding")), "chunked"):
		body = joinChunks(body)
	}
	return body, xmlEnds(body)
}

// joinChunks joins the chunks that are there (RFC 9112 section 7.1). What is none was
// sent without.
func joinChunks(b []byte) []byte {
	var whole []byte
	for rest := b; len(rest) > 0; {
		line, behind, found := bytes.Cut(rest, []byte("\n"))
		digits, _, _ := strings.Cut(strings.TrimSpace(string(line)), ";")
		size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		switch {
		case err != nil && whole == nil && found:
			return b
		case err != nil || size == 0:
			return whole
		}
		size = min(size, uint64(len(behind)))
		whole = append(whole, behind[:size]...)
		rest = bytes.TrimLeft(behind[size:], "\r\n")
	}
	return whole
}
