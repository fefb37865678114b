package amf

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/internal/vectors"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse0(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		want      Value
	}{
		{"boolean other than 0 or 1", "0102", Boolean(true)},
		{"ecma array with a wrong count", "08 00000000 0001 61 05 0000 09", ECMAArray{{"a", Null{}}}},
		{"member with an empty name", "03 0000 05 0000 09", Object{{"", Null{}}}},
		{"date", "0b 4072c00000000000 ffc4", Date{300, -60}},
		{"xml", "0f 00000003 3c612f", XML("<a/")},
		{"short long string", "0c 00000001 61", String("a")},
		{"unsupported", "0d", Undefined{}},
		{"typed object", "10 0001 43 0001 61 0101 0000 09", TypedObject{"C", Object{{"a", Boolean(true)}}}},
		{
			"reference to an earlier object", "0a 00000002 03 0001 61 05 0000 09 07 0001",
			Array{Object{{"a", Null{}}}, Object{{"a", Null{}}}},
		},
		{"AVM+ integer", "11 04 7f", Number(127)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := Parse(unhex(t, tt.hex))
			if err != nil || len(rest) != 0 {
				t.Fatalf("Parse: %v, rest %x", err, rest)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParse3(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		want      Value
	}{
		{"undefined", "00", Undefined{}},
		{"null", "01", Null{}},
		{"false", "02", Boolean(false)},
		{"true", "03", Boolean(true)},
		{"integer 0", "0400", Number(0)},
		{"integer 2^28-1", "04 bfffffff", Number(1<<28 - 1)},
		{"integer -1", "04 ffffffff", Number(-1)},
		{"integer -2^28", "04 c0808000", Number(-1 << 28)},
		{"double", "05 bff8000000000000", Number(-1.5)},
		{"string", "06 07 616263", String("abc")},
		{"xml document", "07 03 78", XML("x")},
		{"xml", "0b 03 78", XML("x")},
		{"date", "08 01 4072c00000000000", Date{Milliseconds: 300}},
		{"byte array", "0c 05 0102", Bytes{1, 2}},
		{"array", "09 05 01 04 01 06 03 78", Array{Number(1), String("x")}},
		{"array with names", "09 03 03 6b 01 01 03", ECMAArray{{"k", Null{}}, {"0", Boolean(true)}}},
		{"anonymous object", "0a 0b 01 03 61 02 01", Object{{"a", Boolean(false)}}},
		{"typed object", "0a 13 03 43 03 61 03", TypedObject{"C", Object{{"a", Boolean(true)}}}},
		{
			"string, trait and object references", "09 07 01  0a 13 03 43 03 61 06 02  0a 01 04 05  0a 02",
			Array{
				TypedObject{"C", Object{{"a", String("a")}}},
				TypedObject{"C", Object{{"a", Number(5)}}},
				TypedObject{"C", Object{{"a", String("a")}}},
			},
		},
		{"vector of int", "0d 03 01 ffffffff", Vector{Kind: VectorInt, Fixed: true, Items: []Value{Number(-1)}}},
		{"vector of uint", "0e 03 00 ffffffff", Vector{Kind: VectorUint, Items: []Value{Number(math.MaxUint32)}}},
		{"vector of double", "0f 03 00 3ff0000000000000", Vector{Kind: VectorDouble, Items: []Value{Number(1)}}},
		{"vector of objects", "10 05 00 03 2a 01 03", Vector{Kind: VectorObject, Class: "*", Items: []Value{Null{}, Boolean(true)}}},
		{"dictionary", "11 03 01 04 01 03", Dictionary{Weak: true, Entries: []Entry{{Number(1), Boolean(true)}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := Parse3(unhex(t, tt.hex))
			if err != nil || len(rest) != 0 {
				t.Fatalf("Parse3: %v, rest %x", err, rest)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
			again, rest, err := Parse3(Append3(nil, got))
			if err != nil || len(rest) != 0 {
				t.Fatalf("Parse3 of Append3: %v, rest %x", err, rest)
			}
			if diff := cmp.Diff(tt.want, again); diff != "" {
				t.Errorf("appended and parsed again:\n%s", diff)
			}
			// The same value inside AMF0.
			args, err := ParseAll(Append(nil, got, Number(7)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Args{tt.want, Number(7)}, args); diff != "" {
				t.Errorf("by AMF0:\n%s", diff)
			}
		})
	}
}

func TestAppendNumber3(t *testing.T) {
	for _, tt := range []struct {
		n    float64
		want string
	}{
		{0, "0400"},
		{math.Copysign(0, -1), "058000000000000000"},
		{-1, "04ffffffff"},
		{1<<28 - 1, "04bfffffff"},
		{1 << 28, "0541b0000000000000"},
		{0.5, "053fe0000000000000"},
	} {
		if got := hex.EncodeToString(Append3(nil, Number(tt.n))); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.n, got, tt.want)
		}
	}
}

// What AMF0 has no room for travels behind the AVM+ marker.
func TestAppendLongName(t *testing.T) {
	name := strings.Repeat("n", maxShort+1)
	for _, want := range []Value{
		Object{{name, Number(1)}},
		ECMAArray{{name, Number(1)}},
		TypedObject{name, Object{}},
	} {
		b := Append(nil, want)
		if b[0] != markerAVMPlus {
			t.Errorf("%T: marker %#x", want, b[0])
		}
		got, _, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if !cmp.Equal(want, got) {
			t.Errorf("%T did not survive", want)
		}
	}
}

func TestRefused(t *testing.T) {
	nested := func(n int, open, inner, end string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	for _, tt := range []struct {
		name, hex string
		parse     func([]byte) error
		want      error
	}{
		{"empty", "", parse0, ErrTruncated},
		{"number", "00 00", parse0, ErrTruncated},
		{"boolean", "01", parse0, ErrTruncated},
		{"string", "02 0002 61", parse0, ErrTruncated},
		{"long string of 4 GiB", "0c ffffffff", parse0, ErrTruncated},
		{"object without an end", "03 0001 61 05", parse0, ErrTruncated},
		{"object, name only", "03 0000", parse0, ErrTruncated},
		{"strict array of 2^32-1", "0a ffffffff 05", parse0, ErrTruncated},
		{"object end as a value", "09", parse0, ErrMarker},
		{"movie clip", "04", parse0, ErrMarker},
		{"record set", "0e", parse0, ErrMarker},
		{"unknown marker", "12", parse0, ErrMarker},
		{"reference to nothing", "07 0000", parse0, ErrReference},
		{"reference to itself", "03 0001 61 07 0000 0000 09", parse0, ErrReference},
		{"nested objects", nested(MaxDepth+1, "03 0001 61", "05", "0000 09"), parse0, ErrDepth},
		{"nested arrays", nested(MaxDepth+1, "0a 00000001", "05", ""), parse0, ErrDepth},
		{"AVM+ nested arrays", "11" + nested(MaxDepth+1, "09 03 01", "01", ""), parse0, ErrDepth},
		{"nulls", "0a 00004001" + strings.Repeat("05", MaxValues+1), parse0, ErrTooLarge},
		{"AMF3 truncated integer", "04 80", parse3, ErrTruncated},
		{"AMF3 string reference", "06 00", parse3, ErrReference},
		{"AMF3 object reference", "0a 00", parse3, ErrReference},
		{"AMF3 array in itself", "09 03 01 09 00", parse3, ErrReference},
		{"AMF3 trait reference", "0a 01", parse3, ErrReference},
		{"AMF3 externalizable", "0a 07 03 43 00", parse3, ErrMarker},
		{"AMF3 unknown marker", "12", parse3, ErrTruncated},
		{"AMF3 unknown marker and more", "12 01", parse3, ErrMarker},
		{"AMF3 vector of 2^28-1", "0d bfffffff", parse3, ErrTruncated},
		{"AMF3 dictionary", "11 bfffffff 00", parse3, ErrTruncated},
		{"AMF3 traits", "0a bffffff3 01", parse3, ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse(unhex(t, tt.hex)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func parse0(b []byte) error { _, _, err := Parse(b); return err }
func parse3(b []byte) error { _, _, err := Parse3(b); return err }

// A kilobyte of references to ever larger values would unfold to gigabytes.
func TestReferenceBomb(t *testing.T) {
	b := []byte{markerStrictArray, 0, 0, 0, 40}
	b = append(b, markerStrictArray, 0, 0, 0, 1, markerNull) // reference 1
	for i := byte(1); i < 40; i++ {
		b = append(b, markerStrictArray, 0, 0, 0, 2, markerReference, 0, i, markerReference, 0, i)
	}
	if _, _, err := Parse(b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("doubling arrays: %v", err)
	}

	// One long string, named again and again.
	b = append(appendLength3([]byte{marker3Array}, 1000), 1)
	b = appendString3(append(b, marker3String), strings.Repeat("x", 4000))
	for range 999 {
		b = append(b, marker3String, 0)
	}
	if _, _, err := Parse3(b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("repeated string: %v", err)
	}
}

func TestHelpers(t *testing.T) {
	o := Object{{"s", String("x")}, {"n", Number(2)}, {"b", Boolean(true)}, {"s", String("y")}}
	if o.String("s") != "y" || o.Number("n") != 2 || !o.Boolean("b") {
		t.Error("members by type")
	}
	if o.String("n") != "" || o.Number("s") != 0 || o.Get("no") != nil {
		t.Error("members of another type or absent")
	}
	a := Args{String("x"), Number(1), ECMAArray(o)}
	if s, ok := a.String(0); !ok || s != "x" {
		t.Error("Args.String")
	}
	if _, ok := a.String(7); ok || a.At(-1) != nil || a.From(9) != nil || len(a.From(1)) != 2 {
		t.Error("arguments that are not there")
	}
	if m, ok := a.Object(2); !ok || m.Number("n") != 2 {
		t.Error("Args.Object")
	}
	if n, ok := a.Number(1); !ok || n != 1 {
		t.Error("Args.Number")
	}
	if !IsNull(a.At(9)) || !IsNull(Undefined{}) || IsNull(String("")) {
		t.Error("IsNull")
	}
}

func FuzzParse0(f *testing.F) {
	f.Add(Append(nil, String("connect"), Number(1), Object{{"app", String("live")}, {"x", Array{Null{}, Undefined{}}}}))
	f.Add(Append(nil, TypedObject{"C", Object{{"", XML("x")}}}, ECMAArray{{"d", Date{1, 2}}}, Bytes{1}))
	f.Add([]byte{0x0a, 0, 0, 0, 2, 3, 0, 0, 9, 7, 0, 1})
	for _, row := range vectors.Primitives(f).AMF0 {
		f.Add([]byte(row.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseAll(b)
		if err != nil {
			return
		}
		once := Append(nil, v...)
		if n := Size(len(once), v...); n != len(once) {
			t.Fatalf("%d bytes, counted as %d", len(once), n)
		}
		if n := Size(len(once)/2, v...); n <= len(once)/2 && n != len(once) {
			t.Fatalf("%d bytes, counted as %d", len(once), n)
		}
		v, err = ParseAll(once)
		if err != nil {
			t.Fatalf("%x: %v", once, err)
		}
		if twice := Append(nil, v...); !bytes.Equal(once, twice) {
			t.Errorf("%x\nthen %x", once, twice)
		}
	})
}

func FuzzParse3(f *testing.F) {
	f.Add(Append3(nil, Object{{"a", Number(1)}, {"b", Array{String("x"), Number(0.5)}}}))
	f.Add(Append3(nil, Dictionary{Entries: []Entry{{Number(1), Vector{Kind: VectorInt, Items: []Value{Number(1)}}}}}))
	f.Add(Append3(nil, TypedObject{"C", Object{{"", Date{}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := Parse3(b)
		if err != nil {
			return
		}
		once := Append3(nil, v)
		v, rest, err := Parse3(once)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x: %v, rest %x", once, err, rest)
		}
		if twice := Append3(nil, v); !bytes.Equal(once, twice) {
			t.Errorf("%x\nthen %x", once, twice)
		}
	})
}
