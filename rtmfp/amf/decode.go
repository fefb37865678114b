package amf

import (
	"encoding/binary"
	"errors"
	"math"
)

// The reasons to refuse input. Each leaves nothing usable behind.
var (
	ErrTruncated = errors.New("amf: truncated value")
	ErrMarker    = errors.New("amf: unknown or unexpected type marker")
	ErrDepth     = errors.New("amf: nested too deeply")
	ErrTooLarge  = errors.New("amf: too many or too large values")
	ErrReference = errors.New("amf: reference to nothing, or to an enclosing value")
)

// decoder reads one message: reference tables and limits are shared by all of
// its values.
type decoder struct {
	b             []byte // what is left
	depth         int
	values, bytes int // spent so far
	refs0, refs3  references
	strings       []string
	traits        []trait
}

// references is the table of the complex values of a message, in the order in
// which they began.
type references []reference

type reference struct {
	v             Value
	values, bytes int  // what writing it once more would spend
	done          bool // false while it is being read: a reference would be a cycle
}

// spend counts values and bytes against the limits.
func (d *decoder) spend(values, bytes int) error {
	// A single cost never exceeds the limits, so the sums cannot overflow.
	if values > MaxValues || bytes > MaxBytes {
		return ErrTooLarge
	}
	d.values += values
	d.bytes += bytes
	if d.values > MaxValues || d.bytes > MaxBytes {
		return ErrTooLarge
	}
	return nil
}

func (d *decoder) enter() error {
	if d.depth++; d.depth > MaxDepth {
		return ErrDepth
	}
	return nil
}

func (d *decoder) leave() { d.depth-- }

// complex reads a value with read and enters it into the table t.
func (d *decoder) complex(t *references, read func() (Value, error)) (Value, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	at := len(*t)
	// The costs at the beginning, until the value is read.
	*t = append(*t, reference{values: d.values, bytes: d.bytes})
	v, err := read()
	if err != nil {
		return nil, err
	}
	d.leave()
	r := &(*t)[at]
	// The value itself was counted by its marker, before the table entry.
	*r = reference{v: v, values: d.values - r.values + 1, bytes: d.bytes - r.bytes + 1, done: true}
	return v, nil
}

// refer returns the i-th complex value of table t.
func (d *decoder) refer(t references, i uint64) (Value, error) {
	if i >= uint64(len(t)) || !t[i].done {
		return nil, ErrReference
	}
	r := t[i]
	if err := d.spend(r.values, r.bytes); err != nil {
		return nil, err
	}
	return r.v, nil
}

func (d *decoder) take(n int) ([]byte, error) {
	if n < 0 || n > len(d.b) {
		return nil, ErrTruncated
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b, nil
}

// text takes n bytes as a string.
func (d *decoder) text(n int) (string, error) {
	b, err := d.take(n)
	if err != nil {
		return "", err
	}
	return string(b), d.spend(0, n)
}

func (d *decoder) byte() (byte, error) {
	b, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (d *decoder) uint16() (uint16, error) {
	b, err := d.take(2)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b), nil
}

func (d *decoder) uint32() (uint32, error) {
	b, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (d *decoder) double() (float64, error) {
	b, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// room is a capacity for n announced items of at least one byte each: an
// announcement alone gets no memory.
func (d *decoder) room(n int) int { return min(n, len(d.b), MaxValues) }
