package amf

// Markers of AMF3 types. Those of vectors are the VectorKinds.
const (
	marker3Undefined  = 0x00
	marker3Null       = 0x01
	marker3False      = 0x02
	marker3True       = 0x03
	marker3Integer    = 0x04
	marker3Double     = 0x05
	marker3String     = 0x06
	marker3XMLDoc     = 0x07
	marker3Date       = 0x08
	marker3Array      = 0x09
	marker3Object     = 0x0a
	marker3XML        = 0x0b
	marker3ByteArray  = 0x0c
	marker3Dictionary = 0x11
)

// trait is the class of an AMF3 object: its name and the names of the members
// that every instance has.
type trait struct {
	class   string
	names   []string
	dynamic bool // instances may have more members
}

// Parse3 reads one AMF3 value and returns what follows it.
func Parse3(b []byte) (v Value, rest []byte, err error) {
	d := decoder{b: b}
	if err := d.spend(1, 1); err != nil {
		return nil, nil, err
	}
	v, err = d.value3()
	if err != nil {
		return nil, nil, err
	}
	return v, d.b, nil
}

// next3 reads a value inside another. value3 itself spends nothing: behind the
// AVM+ marker the value is already paid for.
func (d *decoder) next3() (Value, error) {
	if err := d.spend(1, 1); err != nil {
		return nil, err
	}
	return d.value3()
}

func (d *decoder) value3() (Value, error) {
	marker, err := d.byte()
	if err != nil {
		return nil, err
	}
	switch marker {
	case marker3Undefined:
		return Undefined{}, nil
	case marker3Null:
		return Null{}, nil
	case marker3False:
		return Boolean(false), nil
	case marker3True:
		return Boolean(true), nil
	case marker3Integer:
		u, err := d.u29()
		return Number(int32(u<<3) >> 3), err // sign of 29 bits
	case marker3Double:
		n, err := d.double()
		return Number(n), err
	case marker3String:
		s, err := d.string3()
		return String(s), err
	}

	// Every other type begins with a U29 whose lowest bit is clear for a
	// reference.
	u, err := d.u29()
	if err != nil {
		return nil, err
	}
	if u&1 == 0 {
		return d.refer(d.refs3, uint64(u>>1))
	}
	n := int(u >> 1)
	return d.complex(&d.refs3, func() (Value, error) {
		switch marker {
		case marker3XML, marker3XMLDoc:
			s, err := d.text(n)
			return XML(s), err
		case marker3Date:
			ms, err := d.double()
			return Date{Milliseconds: ms}, err
		case marker3ByteArray:
			s, err := d.text(n)
			return Bytes(s), err
		case marker3Array:
			return d.array3(n)
		case marker3Object:
			return d.object3(u)
		case byte(VectorInt), byte(VectorUint), byte(VectorDouble), byte(VectorObject):
			return d.vector3(VectorKind(marker), n)
		case marker3Dictionary:
			return d.dictionary3(n)
		}
		return nil, ErrMarker
	})
}

// u29 reads an integer of up to 29 bits in one to four bytes, the last of four
// holding eight of them.
func (d *decoder) u29() (uint32, error) {
	var u uint32
	for range 3 {
		c, err := d.byte()
		if err != nil {
			return 0, err
		}
		u = u<<7 | uint32(c&0x7f)
		if c < 0x80 {
			return u, nil
		}
	}
	c, err := d.byte()
	return u<<8 | uint32(c), err
}

func (d *decoder) string3() (string, error) {
	u, err := d.u29()
	if err != nil {
		return "", err
	}
	if u&1 == 0 {
		if int(u>>1) >= len(d.strings) {
			return "", ErrReference
		}
		s := d.strings[u>>1]
		return s, d.spend(0, len(s))
	}
	s, err := d.text(int(u >> 1))
	if err == nil && s != "" { // the empty string is never referred to
		d.strings = append(d.strings, s)
	}
	return s, err
}

// pairs3 reads names and values up to an empty name.
func (d *decoder) pairs3(m []Member) ([]Member, error) {
	for {
		name, err := d.string3()
		if err != nil || name == "" {
			return m, err
		}
		v, err := d.next3()
		if err != nil {
			return nil, err
		}
		m = append(m, Member{name, v})
	}
}

func (d *decoder) items3(n int) ([]Value, error) {
	if n > len(d.b) {
		return nil, ErrTruncated
	}
	items := make([]Value, 0, d.room(n))
	for range n {
		v, err := d.next3()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}

func (d *decoder) array3(n int) (Value, error) {
	m, err := d.pairs3(nil)
	if err != nil {
		return nil, err
	}
	items, err := d.items3(n)
	if err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return Array(items), nil
	}
	for i, v := range items {
		name := index(i)
		if err := d.spend(0, len(name)); err != nil {
			return nil, err
		}
		m = append(m, Member{name, v})
	}
	return ECMAArray(m), nil
}

// object3 reads an object whose first U29 is u: xx1 with a reference to
// earlier traits (01), externalizable (111), or traits in line (count, dynamic,
// 011).
func (d *decoder) object3(u uint32) (Value, error) {
	t, err := d.trait3(u)
	if err != nil {
		return nil, err
	}
	// Written without references, the names come again with every object.
	if err := d.spend(len(t.names), len(t.class)); err != nil {
		return nil, err
	}
	m := make([]Member, 0, d.room(len(t.names)))
	for _, name := range t.names {
		if err := d.spend(0, len(name)); err != nil {
			return nil, err
		}
		v, err := d.next3()
		if err != nil {
			return nil, err
		}
		m = append(m, Member{name, v})
	}
	if t.dynamic {
		if m, err = d.pairs3(m); err != nil {
			return nil, err
		}
	}
	if t.class == "" {
		return Object(m), nil
	}
	return TypedObject{Class: t.class, Members: m}, nil
}

func (d *decoder) trait3(u uint32) (trait, error) {
	switch {
	case u&2 == 0:
		if int(u>>2) >= len(d.traits) {
			return trait{}, ErrReference
		}
		return d.traits[u>>2], nil
	case u&4 != 0:
		// Only the class's own code knows where such an object ends.
		return trait{}, ErrMarker
	}
	t := trait{dynamic: u&8 != 0}
	var err error
	if t.class, err = d.string3(); err != nil {
		return trait{}, err
	}
	n := int(u >> 4)
	if n > len(d.b) {
		return trait{}, ErrTruncated
	}
	t.names = make([]string, n)
	for i := range t.names {
		if t.names[i], err = d.string3(); err != nil {
			return trait{}, err
		}
	}
	d.traits = append(d.traits, t)
	return t, nil
}

func (d *decoder) vector3(kind VectorKind, n int) (Value, error) {
	fixed, err := d.byte()
	if err != nil {
		return nil, err
	}
	v := Vector{Kind: kind, Fixed: fixed != 0}
	if kind == VectorObject {
		if v.Class, err = d.string3(); err != nil {
			return nil, err
		}
		v.Items, err = d.items3(n)
		return v, err
	}
	width := 4
	if kind == VectorDouble {
		width = 8
	}
	if n > len(d.b)/width {
		return nil, ErrTruncated
	}
	if err := d.spend(n, n*width); err != nil {
		return nil, err
	}
	v.Items = make([]Value, n)
	for i := range v.Items {
		if kind == VectorDouble {
			f, err := d.double()
			if err != nil {
				return nil, err
			}
			v.Items[i] = Number(f)
			continue
		}
		u, err := d.uint32()
		if err != nil {
			return nil, err
		}
		if kind == VectorInt {
			v.Items[i] = Number(int32(u))
		} else {
			v.Items[i] = Number(u)
		}
	}
	return v, nil
}

func (d *decoder) dictionary3(n int) (Value, error) {
	weak, err := d.byte()
	if err != nil {
		return nil, err
	}
	if n > len(d.b)/2 {
		return nil, ErrTruncated
	}
	v := Dictionary{Weak: weak != 0, Entries: make([]Entry, 0, d.room(n))}
	for range n {
		key, err := d.next3()
		if err != nil {
			return nil, err
		}
		val, err := d.next3()
		if err != nil {
			return nil, err
		}
		v.Entries = append(v.Entries, Entry{key, val})
	}
	return v, nil
}
