package wire

import (
	"encoding/binary"
	"math"
)

// NextUserData carries the fragment after that of the User Data or Next User Data
// chunk before it in the packet: same flow, same forward sequence number, next
// sequence number (section 2.3.12). Mode 1 or 2.
type NextUserData struct {
	Fragment   Fragment
	Abandon    bool
	Final      bool
	HasOptions bool
	Options    []byte // encoded options without the Marker, for the function Options
	Data       []byte
}

// ParseNextUserData reads the payload of a Next User Data chunk. The only error is
// ErrTruncated.
func ParseNextUserData(body []byte) (c NextUserData, err error) {
	if len(body) == 0 {
		return NextUserData{}, ErrTruncated
	}
	flags, body := body[0], body[1:]
	c.Fragment, c.Abandon, c.Final, c.HasOptions = parseUserDataFlags(flags)
	if c.HasOptions {
		if c.Options, body, err = ParseOptionList(body); err != nil {
			return NextUserData{}, err
		}
	}
	c.Data = body
	return c, nil
}

// Append appends the whole chunk.
func (c NextUserData) Append(b []byte) []byte {
	header := c.AppendHeader(b, len(c.Data))
	if len(header) == len(b) {
		return b
	}
	return append(header, c.Data...)
}

// AppendHeader appends the chunk as it is before n bytes of data, which the caller
// appends next. It ignores c.Data.
func (c NextUserData) AppendHeader(b []byte, n int) []byte {
	payload := c.HeaderLen() - ChunkHeaderLen + n
	if payload > math.MaxUint16 {
		return b
	}
	b = append(b, byte(ChunkNextUserData))
	b = binary.BigEndian.AppendUint16(b, uint16(payload))
	b = append(b, userDataFlags(c.Fragment, c.Abandon, c.Final, c.HasOptions))
	return appendOptionList(b, c.HasOptions, c.Options)
}

// HeaderLen returns the number of bytes that AppendHeader appends: what the chunk
// costs above its data.
func (c NextUserData) HeaderLen() int {
	return ChunkHeaderLen + 1 + optionListLen(c.HasOptions, c.Options)
}
