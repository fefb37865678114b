package wire

import (
	"encoding/binary"
	"math"
)

// Fragment says which part of a user message a chunk carries (section 2.3.11).
type Fragment uint8

const (
	FragmentWhole  Fragment = 0
	FragmentBegin  Fragment = 1
	FragmentEnd    Fragment = 2
	FragmentMiddle Fragment = 3
)

// Option types of User Data (section 2.3.11.1). A receiver rejects a flow with an
// unknown option below FirstIgnorableOption.
const (
	OptionMetadata          = 0x00
	OptionReturnAssociation = 0x0a
	FirstIgnorableOption    = 0x2000
)

const (
	userDataOptions  = 0x80
	userDataFragment = 0x30
	userDataAbandon  = 0x02
	userDataFinal    = 0x01

	userDataFragmentShift = 4
)

// UserData carries a fragment of a flow's message (section 2.3.11). Mode 1 or 2.
type UserData struct {
	Fragment   Fragment
	Abandon    bool // the sender gave this sequence number up; Data does not count
	Final      bool // the last sequence number of the flow
	Flow       uint64
	Seq        uint64 // counts fragments, from 1
	FSNOffset  uint64 // Seq minus the forward sequence number
	HasOptions bool
	Options    []byte // encoded options without the Marker, for the function Options
	Data       []byte
}

// ForwardSeq returns the forward sequence number: no fragment up to it will be
// sent any more.
func (c UserData) ForwardSeq() uint64 { return c.Seq - c.FSNOffset }

// ParseUserData reads the payload of a User Data chunk. The errors are
// ErrTruncated and ErrSequence.
func ParseUserData(body []byte) (c UserData, err error) {
	if len(body) == 0 {
		return UserData{}, ErrTruncated
	}
	flags, body := body[0], body[1:]
	c.Fragment, c.Abandon, c.Final, c.HasOptions = parseUserDataFlags(flags)
	if c.Flow, body, err = ParseVLU(body); err != nil {
		return UserData{}, err
	}
	if c.Seq, body, err = ParseVLU(body); err != nil {
		return UserData{}, err
	}
	if c.FSNOffset, body, err = ParseVLU(body); err != nil {
		return UserData{}, err
	}
	// "The first sequence number of a flow MUST be greater than zero." The offset
	// "MUST NOT be zero if the abandon flag is not set" and "MUST NOT be greater
	// than sequenceNumber" (section 2.3.11).
	if c.Seq == 0 || c.FSNOffset > c.Seq || c.FSNOffset == 0 && !c.Abandon {
		return UserData{}, ErrSequence
	}
	if c.HasOptions {
		if c.Options, body, err = ParseOptionList(body); err != nil {
			return UserData{}, err
		}
	}
	c.Data = body
	return c, nil
}

// Append appends the whole chunk.
func (c UserData) Append(b []byte) []byte {
	header := c.AppendHeader(b, len(c.Data))
	if len(header) == len(b) {
		return b
	}
	return append(header, c.Data...)
}

// AppendHeader appends the chunk as it is before n bytes of data, which the caller
// appends next. It ignores c.Data.
func (c UserData) AppendHeader(b []byte, n int) []byte {
	payload := c.HeaderLen() - ChunkHeaderLen + n
	if payload > math.MaxUint16 {
		return b
	}
	b = append(b, byte(ChunkUserData))
	b = binary.BigEndian.AppendUint16(b, uint16(payload))
	b = append(b, userDataFlags(c.Fragment, c.Abandon, c.Final, c.HasOptions))
	b = AppendVLU(b, c.Flow)
	b = AppendVLU(b, c.Seq)
	b = AppendVLU(b, c.FSNOffset)
	return appendOptionList(b, c.HasOptions, c.Options)
}

// HeaderLen returns the number of bytes that AppendHeader appends: what the chunk
// costs above its data.
func (c UserData) HeaderLen() int {
	return ChunkHeaderLen + 1 + VLULen(c.Flow) + VLULen(c.Seq) + VLULen(c.FSNOffset) +
		optionListLen(c.HasOptions, c.Options)
}

func parseUserDataFlags(flags byte) (f Fragment, abandon, final, options bool) {
	return Fragment(flags & userDataFragment >> userDataFragmentShift),
		flags&userDataAbandon != 0, flags&userDataFinal != 0, flags&userDataOptions != 0
}

func userDataFlags(f Fragment, abandon, final, options bool) byte {
	flags := byte(f) << userDataFragmentShift & userDataFragment
	if abandon {
		flags |= userDataAbandon
	}
	if final {
		flags |= userDataFinal
	}
	if options {
		flags |= userDataOptions
	}
	return flags
}

func appendOptionList(b []byte, has bool, list []byte) []byte {
	if !has {
		return b
	}
	return AppendMarker(append(b, list...))
}

func optionListLen(has bool, list []byte) int {
	if !has {
		return 0
	}
	return len(list) + 1
}
