package amf

import (
	"encoding/binary"
	"math"
	"strconv"
)

const (
	minInteger = -1 << 28
	maxInteger = 1<<28 - 1
)

// Append3 writes values in AMF3, one after the other, without references.
//
// Two things AMF3 cannot express are changed: the time zone of a Date is left
// out, and a member with an empty name is left out of an ECMAArray.
func Append3(b []byte, values ...Value) []byte {
	for _, v := range values {
		b = appendValue3(b, v)
	}
	return b
}

func appendValue3(b []byte, v Value) []byte {
	switch v := v.(type) {
	case Undefined:
		return append(b, marker3Undefined)
	case Boolean:
		return append(b, marker3False+bit(bool(v)))
	case Number:
		return appendNumber3(b, float64(v))
	case String:
		return appendString3(append(b, marker3String), string(v))
	case XML:
		return appendString3(append(b, marker3XML), string(v))
	case Bytes:
		return append(appendLength3(append(b, marker3ByteArray), len(v)), v...)
	case Date:
		return appendDouble(append(b, marker3Date, 1), v.Milliseconds)
	case Array:
		b = append(appendLength3(append(b, marker3Array), len(v)), 1)
		return Append3(b, v...)
	case ECMAArray:
		return appendPairs3(append(b, marker3Array, 1), v)
	case Object:
		return appendObject3(b, "", v)
	case TypedObject:
		return appendObject3(b, v.Class, v.Members)
	case Vector:
		return appendVector3(b, v)
	case Dictionary:
		b = append(appendLength3(append(b, marker3Dictionary), len(v.Entries)), bit(v.Weak))
		for _, e := range v.Entries {
			b = Append3(b, e.Key, e.Value)
		}
		return b
	}
	return append(b, marker3Null) // nil, Null
}

func appendNumber3(b []byte, f float64) []byte {
	if f == math.Trunc(f) && f >= minInteger && f <= maxInteger && (f != 0 || !math.Signbit(f)) {
		return appendU29(append(b, marker3Integer), uint32(int32(f))&(1<<29-1))
	}
	return appendDouble(append(b, marker3Double), f)
}

// appendObject3 writes a dynamic object without sealed members, as Flash does
// for anonymous ones; a member with an empty name, which would end that list,
// forces sealed members.
func appendObject3(b []byte, class string, m []Member) []byte {
	b = append(b, marker3Object)
	sealed := false
	for i := range m {
		sealed = sealed || m[i].Name == ""
	}
	if !sealed {
		return appendPairs3(appendString3(append(b, 0x0b), class), m)
	}
	b = appendString3(appendU29(b, uint32(len(m))<<4|0x03), class)
	for i := range m {
		b = appendString3(b, m[i].Name)
	}
	for i := range m {
		b = appendValue3(b, m[i].Value)
	}
	return b
}

func appendPairs3(b []byte, m []Member) []byte {
	for _, m := range m {
		if m.Name != "" {
			b = appendValue3(appendString3(b, m.Name), m.Value)
		}
	}
	return appendString3(b, "")
}

func appendVector3(b []byte, v Vector) []byte {
	b = append(appendLength3(append(b, byte(v.Kind)), len(v.Items)), bit(v.Fixed))
	if v.Kind == VectorObject {
		return Append3(appendString3(b, v.Class), v.Items...)
	}
	for _, item := range v.Items {
		n, _ := item.(Number)
		switch v.Kind {
		case VectorInt:
			b = binary.BigEndian.AppendUint32(b, uint32(int32(n)))
		case VectorUint:
			b = binary.BigEndian.AppendUint32(b, uint32(n))
		default:
			b = appendDouble(b, float64(n))
		}
	}
	return b
}

func appendString3(b []byte, s string) []byte {
	return append(appendLength3(b, len(s)), s...)
}

// appendLength3 writes the U29 of something in line, not a reference.
func appendLength3(b []byte, n int) []byte { return appendU29(b, uint32(n)<<1|1) }

func appendU29(b []byte, u uint32) []byte {
	switch {
	case u < 1<<7:
		return append(b, byte(u))
	case u < 1<<14:
		return append(b, byte(u>>7)|0x80, byte(u)&0x7f)
	case u < 1<<21:
		return append(b, byte(u>>14)|0x80, byte(u>>7)|0x80, byte(u)&0x7f)
	default:
		return append(b, byte(u>>22)|0x80, byte(u>>15)|0x80, byte(u>>8)|0x80, byte(u))
	}
}

// index is the name of the i-th item of an array that has names as well.
func index(i int) string { return strconv.Itoa(i) }
