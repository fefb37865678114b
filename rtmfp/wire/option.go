package wire

import "iter"

// Option is a type and a value, or a Marker, which has neither (section 2.1.3).
// The meaning of Type depends on where the option stands.
type Option struct {
	Type   uint64
	Value  []byte
	Marker bool
}

// AppendOption appends an option. value may be nil.
func AppendOption(b []byte, typ uint64, value []byte) []byte {
	b = AppendVLU(b, uint64(VLULen(typ)+len(value)))
	b = AppendVLU(b, typ)
	return append(b, value...)
}

// OptionLen returns the number of bytes that AppendOption appends for an option
// of type typ whose value has n bytes.
func OptionLen(typ uint64, n int) int {
	payload := VLULen(typ) + n
	return VLULen(uint64(payload)) + payload
}

// AppendMarker appends the empty option that ends an option list.
func AppendMarker(b []byte) []byte { return append(b, 0) }

// ParseOption reads one option from the start of b. The only error is
// ErrTruncated.
func ParseOption(b []byte) (o Option, rest []byte, err error) {
	payload, rest, err := parseSized(b)
	if err != nil {
		return Option{}, nil, err
	}
	if len(payload) == 0 {
		return Option{Marker: true}, rest, nil
	}
	// The type must end inside the payload, whatever follows the option.
	typ, value, err := ParseVLU(payload)
	if err != nil {
		return Option{}, nil, err
	}
	return Option{Type: typ, Value: value}, rest, nil
}

// ParseOptionList reads an option list from the start of b up to its Marker
// (section 2.1.4). list holds the encoded options without the Marker, for
// Options. The only error is ErrTruncated.
func ParseOptionList(b []byte) (list, rest []byte, err error) {
	for rest = b; ; {
		end := len(b) - len(rest)
		var o Option
		o, rest, err = ParseOption(rest)
		if err != nil {
			return nil, nil, err
		}
		if o.Marker {
			return b[:end:end], rest, nil
		}
	}
}

// Options yields the options encoded in list. It ends with the list, at a Marker,
// or at an option that is truncated; where the last must be an error, loop over
// ParseOption instead.
func Options(list []byte) iter.Seq[Option] {
	return func(yield func(Option) bool) { eachOption(list, yield) }
}

// eachOption stands apart so that Options is inlined and its closure stays off
// the heap. The other iterators of this package do the same.
func eachOption(list []byte, yield func(Option) bool) {
	for len(list) > 0 {
		o, rest, err := ParseOption(list)
		if err != nil || o.Marker || !yield(o) {
			return
		}
		list = rest
	}
}
