// Package peer is an RTMFP client for the command line: it connects to a server,
// publishes a stream to peers, plays one from a peer, and tells how it goes.
//
// Everything about the protocol runs on the engine's goroutine, that of
// rtmfp.Endpoint. What may block has goroutines of its own: reading the media
// to publish, writing what was played, asking somebody, and talking.
package peer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// Config says what a run is to do. Only Server is required.
type Config struct {
	Server string // rtmfp://host[:port]/app
	Name   string // for others to find this peer by; "" for none

	// Publish is the name of the stream to offer; "" for none. Texts go to the
	// first peer that plays it, then what Input, FLV, or Pattern brings.
	Publish string
	Texts   []string
	Input   io.Reader
	Pattern bool

	// Lifetime gives up sound and pictures that could not be sent within it;
	// 0 delivers all.
	Lifetime time.Duration

	// Accept says who may play; Answers is where the answers to questions come
	// from, a line each.
	Accept  Access
	Answers io.Reader

	// Play is the stream to play, nil for none. Its messages go to Output as
	// FLV; nil for nowhere.
	Play   *Stream
	Output io.Writer

	Retry      time.Duration // first repeat of a startup packet; 0: DefaultRetry
	Timeout    time.Duration // patience with the server, and with a peer; 0: DefaultTimeout
	Duration   time.Duration // stop that long after being connected; 0: no limit
	MaxMessage int           // longest message either way, in bytes; 0: DefaultMaxMessage

	Report Report
}

// Defaults of a Config.
const (
	DefaultRetry      = 250 * time.Millisecond
	DefaultTimeout    = 10 * time.Second
	DefaultMaxMessage = 1 << 20 // key frames in high definition pass 64 KiB
)

// MaxText is the longest text to send, in bytes: what any peer takes as one
// message, with room for what goes around it.
const MaxText = 64<<10 - 64

// Stream is where to find a stream: at the peer of that ID, or at whoever the
// server knows by the name Holder.
type Stream struct {
	Peer   flash.PeerID
	Holder string // "" if the ID is known
	Name   string
}

// ParseStream reads a value of --play: PEERID/STREAM or NAME/STREAM. A name may
// contain slashes, and a stream of a peer ID too.
func ParseStream(s string) (Stream, error) {
	cut := strings.LastIndexByte(s, '/')
	if id, name, ok := strings.Cut(s, "/"); ok {
		if _, err := flash.ParsePeerID(id); err == nil && name != "" {
			cut = len(id)
		}
	}
	if cut < 0 || cut+1 == len(s) {
		return Stream{}, fmt.Errorf("%q is neither PEERID/STREAM nor NAME/STREAM", s)
	}
	who, err := parseWho(s[:cut])
	who.Name = s[cut+1:]
	return who, err
}

// whole is who, with the whole ID.
func (s *Stream) whole() string {
	if s.Holder != "" {
		return fmt.Sprintf("peer %q, whose ID is %v,", s.Holder, s.Peer)
	}
	return "peer " + s.Peer.String()
}

// who is what the publisher is called.
func (s *Stream) who() string {
	switch {
	case s.Holder == "":
		return "peer " + short(s.Peer)
	case s.Peer == flash.PeerID{}:
		return fmt.Sprintf("peer %q", s.Holder)
	}
	return fmt.Sprintf("peer %q (%s)", s.Holder, short(s.Peer))
}

// Validate reports what contradicts itself.
func (c *Config) Validate() error {
	if _, err := ParseServer(c.Server); err != nil {
		return err
	}
	if c.Publish == "" && (c.Input != nil || c.Pattern || len(c.Texts) > 0) {
		return errors.New("a stream to publish needs a name")
	}
	if c.Input != nil && c.Pattern {
		return errors.New("a stream is read or generated, not both")
	}
	for _, t := range c.Texts {
		if len(t) > MaxText {
			return fmt.Errorf("a text of %d bytes exceeds the limit of %d", len(t), MaxText)
		}
	}
	if c.MaxMessage != 0 && (c.MaxMessage < netconn.DefaultMaxCommand || c.MaxMessage > maxMaxMessage) {
		return fmt.Errorf("the longest message must be between %d and %d bytes", netconn.DefaultMaxCommand, maxMaxMessage)
	}
	return nil
}

// maxMaxMessage bounds what one flow of a peer may have us keep.
const maxMaxMessage = 16 << 20

func (c *Config) fill() {
	c.Retry = cmp.Or(c.Retry, DefaultRetry)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxMessage = cmp.Or(c.MaxMessage, DefaultMaxMessage)
}
