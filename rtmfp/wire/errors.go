package wire

import "errors"

// The errors of this package's parsers: a closed set, so that a receiver can
// count dropped packets and chunks by reason.
var (
	// ErrTruncated means that an element does not fit into what encloses it.
	ErrTruncated = errors.New("wire: truncated")

	// ErrMode means that a packet has the forbidden mode 0 (section 2.2.4).
	ErrMode = errors.New("wire: forbidden packet mode 0")

	// ErrSequence means that a User Data chunk has a sequence number or forward
	// sequence number offset that section 2.3.11 rules out.
	ErrSequence = errors.New("wire: impossible sequence number")

	// ErrEmptyFragment means that a Packet Fragment chunk carries no bytes
	// (section 2.3.1).
	ErrEmptyFragment = errors.New("wire: empty packet fragment")

	// ErrAddressText means that a string is no socket address in the form that
	// ParseAddressText takes.
	ErrAddressText = errors.New("wire: not a socket address")
)
