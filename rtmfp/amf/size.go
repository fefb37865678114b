package amf

import "math"

// Size is how many bytes Append writes for values, if that is at most limit; else it is
// any number above limit. It looks at no more values than limit, so it costs little even
// for what references make large.
func Size(limit int, values ...Value) int {
	s := sizer{left: limit}
	s.values(values)
	return limit - s.left
}

// sizer counts down to what is too much.
type sizer struct{ left int }

func (s *sizer) add(n int) { s.left -= n }

func (s *sizer) full() bool { return s.left < 0 }

func (s *sizer) values(values []Value) {
	for i := 0; i < len(values) && !s.full(); i++ {
		s.value(values[i])
	}
}

// value counts what appendValue writes.
func (s *sizer) value(v Value) {
	s.add(1)
	switch v := v.(type) {
	case nil, Null, Undefined:
		return
	case Number:
		s.add(8)
		return
	case Boolean:
		s.add(1)
		return
	case String:
		if s.add(2 + len(v)); len(v) > maxShort {
			s.add(2)
		}
		return
	case XML:
		s.add(4 + len(v))
		return
	case Date:
		s.add(10)
		return
	case Object:
		if shortNames(v) {
			s.members(v)
			return
		}
	case ECMAArray:
		if shortNames(v) {
			s.add(4)
			s.members(v)
			return
		}
	case TypedObject:
		if len(v.Class) <= maxShort && shortNames(v.Members) {
			s.add(2 + len(v.Class))
			s.members(v.Members)
			return
		}
	case Array:
		s.add(4)
		s.values(v)
		return
	}
	s.value3(v)
}

func (s *sizer) members(m []Member) {
	s.add(3)
	for i := 0; i < len(m) && !s.full(); i++ {
		s.add(2 + len(m[i].Name))
		s.value(m[i].Value)
	}
}

func (s *sizer) values3(values []Value) {
	for i := 0; i < len(values) && !s.full(); i++ {
		s.value3(values[i])
	}
}

// value3 counts what appendValue3 writes.
func (s *sizer) value3(v Value) {
	s.add(1)
	switch v := v.(type) {
	case Number:
		s.number3(float64(v))
	case String:
		s.text3(len(v))
	case XML:
		s.text3(len(v))
	case Bytes:
		s.text3(len(v))
	case Date:
		s.add(9)
	case Array:
		s.length3(len(v))
		s.add(1)
		s.values3(v)
	case ECMAArray:
		s.add(1)
		s.pairs3(v)
	case Object:
		s.object3("", v)
	case TypedObject:
		s.object3(v.Class, v.Members)
	case Vector:
		s.length3(len(v.Items))
		s.add(1)
		switch v.Kind {
		case VectorObject:
			s.text3(len(v.Class))
			s.values3(v.Items)
		case VectorDouble:
			s.add(8 * len(v.Items))
		case VectorInt, VectorUint:
			s.add(4 * len(v.Items))
		}
	case Dictionary:
		s.length3(len(v.Entries))
		s.add(1)
		for i := 0; i < len(v.Entries) && !s.full(); i++ {
			s.value3(v.Entries[i].Key)
			s.value3(v.Entries[i].Value)
		}
	}
}

func (s *sizer) number3(f float64) {
	if f == math.Trunc(f) && f >= minInteger && f <= maxInteger && (f != 0 || !math.Signbit(f)) {
		s.u29(uint32(int32(f)) & (1<<29 - 1))
		return
	}
	s.add(8)
}

func (s *sizer) object3(class string, m []Member) {
	sealed := false
	for i := range m {
		sealed = sealed || m[i].Name == ""
	}
	if !sealed {
		s.add(1)
		s.text3(len(class))
		s.pairs3(m)
		return
	}
	s.u29(uint32(len(m))<<4 | 0x03)
	s.text3(len(class))
	for i := 0; i < len(m) && !s.full(); i++ {
		s.text3(len(m[i].Name))
		s.value3(m[i].Value)
	}
}

func (s *sizer) pairs3(m []Member) {
	for i := 0; i < len(m) && !s.full(); i++ {
		if m[i].Name != "" {
			s.text3(len(m[i].Name))
			s.value3(m[i].Value)
		}
	}
	s.text3(0)
}

func (s *sizer) text3(n int) {
	s.length3(n)
	s.add(n)
}

func (s *sizer) length3(n int) { s.u29(uint32(n)<<1 | 1) }

func (s *sizer) u29(u uint32) {
	var b [4]byte
	s.add(len(appendU29(b[:0], u)))
}

// Count is how many values there are in values, of any depth, if that is at most limit;
// else it is any number above limit.
func Count(limit int, values ...Value) (n int) {
	for _, v := range values {
		if n++; n > limit {
			return n
		}
		switch v := v.(type) {
		case Array:
			n += Count(limit-n, v...)
		case Vector:
			n += Count(limit-n, v.Items...)
		case Dictionary:
			for i := 0; i < len(v.Entries) && n <= limit; i++ {
				n += Count(limit-n, v.Entries[i].Key, v.Entries[i].Value)
			}
		default:
			m, _ := Members(v)
			for i := 0; i < len(m) && n <= limit; i++ {
				n += Count(limit-n, m[i].Value)
			}
		}
		if n > limit {
			return n
		}
	}
	return n
}
