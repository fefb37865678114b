package amf

import (
	"encoding/binary"
	"math"
)

// Markers of AMF0 types.
const (
	markerNumber      = 0x00
	markerBoolean     = 0x01
	markerString      = 0x02
	markerObject      = 0x03
	markerNull        = 0x05
	markerUndefined   = 0x06
	markerReference   = 0x07
	markerECMAArray   = 0x08
	markerObjectEnd   = 0x09
	markerStrictArray = 0x0a
	markerDate        = 0x0b
	markerLongString  = 0x0c
	markerUnsupported = 0x0d
	markerXML         = 0x0f
	markerTypedObject = 0x10
	markerAVMPlus     = 0x11
)

// maxShort is the longest string or name with a 16-bit length.
const maxShort = math.MaxUint16

// Parse reads one AMF0 value and returns what follows it.
func Parse(b []byte) (v Value, rest []byte, err error) {
	d := decoder{b: b}
	v, err = d.value()
	if err != nil {
		return nil, nil, err
	}
	return v, d.b, nil
}

// ParseAll reads a sequence of AMF0 values to the end of b: the payload of a
// command or of a data message. Limits and references are common to all of it.
func ParseAll(b []byte) (Args, error) {
	d := decoder{b: b}
	var args Args
	for len(d.b) > 0 {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	return args, nil
}

func (d *decoder) value() (Value, error) {
	marker, err := d.byte()
	if err != nil {
		return nil, err
	}
	if marker != markerReference { // a reference spends what it refers to
		if err := d.spend(1, 1); err != nil {
			return nil, err
		}
	}
	switch marker {
	case markerNumber:
		n, err := d.double()
		return Number(n), err
	case markerBoolean:
		v, err := d.byte()
		return Boolean(v != 0), err
	case markerString:
		s, err := d.short()
		return String(s), err
	case markerLongString:
		s, err := d.long()
		return String(s), err
	case markerXML:
		s, err := d.long()
		return XML(s), err
	case markerNull:
		return Null{}, nil
	case markerUndefined, markerUnsupported:
		return Undefined{}, nil
	case markerReference:
		i, err := d.uint16()
		if err != nil {
			return nil, err
		}
		return d.refer(d.refs0, uint64(i))
	case markerDate:
		return d.date()
	case markerObject:
		return d.complex(&d.refs0, func() (Value, error) {
			m, err := d.members()
			return Object(m), err
		})
	case markerTypedObject:
		return d.complex(&d.refs0, d.typed)
	case markerECMAArray:
		return d.complex(&d.refs0, func() (Value, error) {
			// The count is a hint that some encoders leave 0.
			if _, err := d.uint32(); err != nil {
				return nil, err
			}
			m, err := d.members()
			return ECMAArray(m), err
		})
	case markerStrictArray:
		return d.complex(&d.refs0, d.array)
	case markerAVMPlus:
		return d.value3()
	}
	return nil, ErrMarker
}

func (d *decoder) short() (string, error) {
	n, err := d.uint16()
	if err != nil {
		return "", err
	}
	return d.text(int(n))
}

func (d *decoder) long() (string, error) {
	n, err := d.uint32()
	if err != nil {
		return "", err
	}
	if uint64(n) > uint64(len(d.b)) {
		return "", ErrTruncated
	}
	return d.text(int(n))
}

func (d *decoder) date() (Value, error) {
	ms, err := d.double()
	if err != nil {
		return nil, err
	}
	zone, err := d.uint16()
	return Date{Milliseconds: ms, Zone: int16(zone)}, err
}

// members reads names and values up to the object end: an empty name followed
// by the end marker. An empty name before anything else is a name.
func (d *decoder) members() ([]Member, error) {
	m := []Member{}
	for {
		name, err := d.short()
		if err != nil {
			return nil, err
		}
		if name == "" && len(d.b) > 0 && d.b[0] == markerObjectEnd {
			d.b = d.b[1:]
			return m, nil
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		m = append(m, Member{name, v})
	}
}

func (d *decoder) typed() (Value, error) {
	class, err := d.short()
	if err != nil {
		return nil, err
	}
	m, err := d.members()
	return TypedObject{Class: class, Members: m}, err
}

func (d *decoder) array() (Value, error) {
	n, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if uint64(n) > uint64(len(d.b)) {
		return nil, ErrTruncated
	}
	a := make(Array, 0, d.room(int(n)))
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		a = append(a, v)
	}
	return a, nil
}

// Append writes values in AMF0, one after the other. What AMF0 cannot express
// (byte arrays, vectors, dictionaries, names over 65,535 bytes) is written in
// AMF3 behind the AVM+ marker.
func Append(b []byte, values ...Value) []byte {
	for _, v := range values {
		b = appendValue(b, v)
	}
	return b
}

func appendValue(b []byte, v Value) []byte {
	switch v := v.(type) {
	case nil, Null:
		return append(b, markerNull)
	case Undefined:
		return append(b, markerUndefined)
	case Number:
		return appendDouble(append(b, markerNumber), float64(v))
	case Boolean:
		return append(b, markerBoolean, bit(bool(v)))
	case String:
		if len(v) > maxShort {
			return appendLong(append(b, markerLongString), string(v))
		}
		return appendShort(append(b, markerString), string(v))
	case XML:
		return appendLong(append(b, markerXML), string(v))
	case Date:
		b = appendDouble(append(b, markerDate), v.Milliseconds)
		return binary.BigEndian.AppendUint16(b, uint16(v.Zone))
	case Object:
		if shortNames(v) {
			return appendMembers(append(b, markerObject), v)
		}
	case ECMAArray:
		if shortNames(v) {
			b = binary.BigEndian.AppendUint32(append(b, markerECMAArray), uint32(len(v)))
			return appendMembers(b, v)
		}
	case TypedObject:
		if len(v.Class) <= maxShort && shortNames(v.Members) {
			b = appendShort(append(b, markerTypedObject), v.Class)
			return appendMembers(b, v.Members)
		}
	case Array:
		b = binary.BigEndian.AppendUint32(append(b, markerStrictArray), uint32(len(v)))
		return Append(b, v...)
	}
	return Append3(append(b, markerAVMPlus), v)
}

func shortNames(m []Member) bool {
	for i := range m {
		if len(m[i].Name) > maxShort {
			return false
		}
	}
	return true
}

func appendMembers(b []byte, m []Member) []byte {
	for _, m := range m {
		b = appendValue(appendShort(b, m.Name), m.Value)
	}
	return append(b, 0, 0, markerObjectEnd)
}

func appendShort(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendLong(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendDouble(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(b, math.Float64bits(f))
}

func bit(v bool) byte {
	if v {
		return 1
	}
	return 0
}
