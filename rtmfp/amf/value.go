// Package amf reads and writes the Action Message Format, versions 0 and 3:
// the values inside RTMP commands and data messages.
//
// Both versions decode to the same Go types, so that a reader of commands need
// not know which one the far end chose. Parsing is bounded (see limits.go) and
// never panics. References are written out: a value that refers to an earlier
// one shares it, and counts against the limits as if it had been sent twice.
//
// Parsing what Append wrote gives the same values again. The bytes themselves
// may differ from the ones first received where the format leaves a choice
// (references, long strings, hints of array lengths).
package amf

// A Value is one of the types of this package: [Number], [Boolean], [String],
// [Null], [Undefined], [Object], [TypedObject], [ECMAArray], [Array], [Date],
// [XML], [Bytes], [Vector] or [Dictionary]. A nil Value is written as Null.
type Value interface{ isValue() }

type (
	// Number is an AMF0 number, or an AMF3 integer or double.
	Number float64

	// Boolean is true or false.
	Boolean bool

	// String is a short or a long string. It is UTF-8 by agreement only:
	// the bytes are kept as they came.
	String string

	// Null is the AMF null.
	Null struct{}

	// Undefined is the AMF undefined, and the AMF0 "unsupported".
	Undefined struct{}

	// Object is an anonymous object. The order of members is kept but carries
	// no meaning; a name may repeat, and then the last one holds.
	Object []Member

	// ECMAArray is an array with names for indices: the AMF0 ECMA array, and
	// an AMF3 array with an associative part.
	ECMAArray []Member

	// Array is the AMF0 strict array, and an AMF3 array without names.
	Array []Value

	// XML is the text of an XML document.
	XML string

	// Bytes is an AMF3 byte array.
	Bytes []byte
)

// A Member is one name and value of an object.
type Member struct {
	Name  string
	Value Value
}

// TypedObject is an object of a registered class.
type TypedObject struct {
	Class   string
	Members Object
}

// Date is an instant: milliseconds since 1970-01-01T00:00:00Z. The time zone
// in minutes exists in AMF0 only, where it should be 0.
type Date struct {
	Milliseconds float64
	Zone         int16
}

// VectorKind is the AMF3 marker of a vector's item type.
type VectorKind byte

// The kinds of a Vector. Items of the first three are Numbers.
const (
	VectorInt    VectorKind = 0x0d
	VectorUint   VectorKind = 0x0e
	VectorDouble VectorKind = 0x0f
	VectorObject VectorKind = 0x10
)

// Vector is an AMF3 vector: an array of one type of items.
type Vector struct {
	Kind  VectorKind
	Fixed bool   // the length may not change
	Class string // type of the items of a VectorObject, "*" or "" for any
	Items []Value
}

// Dictionary is an AMF3 dictionary: a map whose keys are any values.
type Dictionary struct {
	Weak    bool // the keys are weakly held
	Entries []Entry
}

// An Entry is one key and value of a Dictionary.
type Entry struct{ Key, Value Value }

func (Number) isValue()      {}
func (Boolean) isValue()     {}
func (String) isValue()      {}
func (Null) isValue()        {}
func (Undefined) isValue()   {}
func (Object) isValue()      {}
func (TypedObject) isValue() {}
func (ECMAArray) isValue()   {}
func (Array) isValue()       {}
func (Date) isValue()        {}
func (XML) isValue()         {}
func (Bytes) isValue()       {}
func (Vector) isValue()      {}
func (Dictionary) isValue()  {}

// Get returns the last member of that name, or nil.
func (o Object) Get(name string) Value {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i].Value
		}
	}
	return nil
}

// String returns the member of that name if it is a string, else "".
func (o Object) String(name string) string {
	s, _ := o.Get(name).(String)
	return string(s)
}

// Number returns the member of that name if it is a number, else 0.
func (o Object) Number(name string) float64 {
	n, _ := o.Get(name).(Number)
	return float64(n)
}

// Boolean returns the member of that name if it is a boolean, else false.
func (o Object) Boolean(name string) bool {
	v, _ := o.Get(name).(Boolean)
	return bool(v)
}

// Members returns the names and values of anything that has them: an Object, a
// TypedObject or an ECMAArray.
func Members(v Value) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case TypedObject:
		return v.Members, true
	case ECMAArray:
		return Object(v), true
	}
	return nil, false
}

// IsNull tells whether v is absent, Null or Undefined.
func IsNull(v Value) bool {
	switch v.(type) {
	case nil, Null, Undefined:
		return true
	}
	return false
}

// Args is a list of arguments, read without regard to its length: what is not
// there is nil, and a value of another type is not ok.
type Args []Value

// At returns the i-th argument, or nil.
func (a Args) At(i int) Value {
	if i < 0 || i >= len(a) {
		return nil
	}
	return a[i]
}

// From returns the arguments from the i-th on.
func (a Args) From(i int) Args {
	if i < 0 || i >= len(a) {
		return nil
	}
	return a[i:]
}

// String returns the i-th argument if it is a string.
func (a Args) String(i int) (s string, ok bool) {
	v, ok := a.At(i).(String)
	return string(v), ok
}

// Number returns the i-th argument if it is a number.
func (a Args) Number(i int) (n float64, ok bool) {
	v, ok := a.At(i).(Number)
	return float64(v), ok
}

// Object returns the members of the i-th argument if it has any.
func (a Args) Object(i int) (o Object, ok bool) { return Members(a.At(i)) }
