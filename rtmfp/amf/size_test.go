package amf

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	long := String(strings.Repeat("x", maxShort+1))
	object := Object{{"a", Number(1)}, {"b", Array{String("x"), Null{}}}}
	for _, v := range []Value{
		nil,
		Null{},
		Undefined{},
		Number(0.5), Number(-1), Boolean(true), String("ü"), long, XML("<x/>"), Bytes("bytes"),
		Date{1, 2},
		object, ECMAArray(object),
		TypedObject{"C", object},
		Array{object, object},
		Object{},
		Object{{string(long), Number(7)}},
		ECMAArray{{string(long), Number(1 << 20)}},
		TypedObject{string(long), Object{{"", Null{}}}},
		Dictionary{Entries: []Entry{{Number(1), object}, {Bytes("k"), Dictionary{}}}},
		Vector{Kind: VectorInt, Items: []Value{Number(1), Number(2)}},
		Vector{Kind: VectorDouble, Items: []Value{Number(1)}},
		Vector{Kind: VectorUint},
		Vector{Kind: VectorObject, Class: "C", Items: []Value{object, Number(math.Copysign(0, -1)), Number(1 << 27), Boolean(false), TypedObject{"D", Object{{"", XML("y")}}}}},
		Dictionary{Entries: []Entry{{Array{ECMAArray{{"n", Undefined{}}, {"", Null{}}}}, Date{}}}},
	} {
		want := len(Append(nil, v, v))
		if got := Size(1<<20, v, v); got != want {
			t.Errorf("%#v: %d, want %d", v, got, want)
		}
		for _, limit := range []int{0, want - 1} {
			if got := Size(limit, v, v); got <= limit {
				t.Errorf("%#v: %d at a limit of %d, has %d", v, got, limit, want)
			}
		}
	}
}

// What shared values make as large as may be is known to be too large at once.
func TestSizeStopsEarly(t *testing.T) {
	v := Value(Array{Null{}, Null{}})
	for range 24 {
		v = Array{v, v} // 2^25 values, if they were written out
	}
	began := time.Now()
	if got := Size(16<<10, v); got <= 16<<10 {
		t.Errorf("%d", got)
	}
	if d := time.Since(began); d > 100*time.Millisecond {
		t.Errorf("after %v", d)
	}
}

func TestCount(t *testing.T) {
	object := Object{{"a", Number(1)}, {"b", Array{String("x"), Null{}}}}
	for _, c := range []struct {
		v    Value
		want int
	}{
		{nil, 1},
		{Number(1), 1},
		{object, 5},
		{ECMAArray(object), 5},
		{TypedObject{"C", object}, 5},
		{Array{object, object}, 11},
		{Vector{Kind: VectorInt, Items: []Value{Number(1), Number(2)}}, 3},
		{Dictionary{Entries: []Entry{{Number(1), object}}}, 7},
	} {
		if got := Count(1000, c.v, Null{}); got != c.want+1 {
			t.Errorf("%#v: %d", c.v, got)
		}
		if got := Count(c.want, c.v, Null{}); got <= c.want {
			t.Errorf("%#v: %d at a limit of %d", c.v, got, c.want)
		}
	}
	v := Value(Array{Null{}, Null{}})
	for range 24 {
		v = Array{v, v}
	}
	if got := Count(1000, v); got <= 1000 {
		t.Errorf("%d", got)
	}
}
