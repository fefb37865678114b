package flv

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var tags = []Tag{
	{Script, 0, []byte("onMetaData")},
	{Audio, 0, []byte{0xaf, 0, 0x12, 0x10}},
	{Video, 1<<24 + 5, bytes.Repeat([]byte{7}, 70000)},
	{Video, 1<<32 - 1, []byte{}},
}

func write(t *testing.T, tags []Tag) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, tag := range tags {
		if err := w.Write(tag); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func read(r *Reader) (tags []Tag, err error) {
	for {
		tag, err := r.Next()
		if err != nil {
			return tags, err
		}
		tag.Data = bytes.Clone(tag.Data)
		tags = append(tags, tag)
	}
}

func TestRoundTrip(t *testing.T) {
	b := write(t, tags)
	got, err := read(NewReader(iotest.OneByteReader(bytes.NewReader(b)), 0))
	if err != io.EOF {
		t.Errorf("end: %v", err)
	}
	if diff := cmp.Diff(tags, got); diff != "" {
		t.Error(diff)
	}
}

func TestLayout(t *testing.T) {
	want := []byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00" +
		"\x09\x00\x00\x02\x02\x03\x04\x01\x00\x00\x00ab\x00\x00\x00\x0d")
	if diff := cmp.Diff(want, write(t, []Tag{{Video, 0x01020304, []byte("ab")}})); diff != "" {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	good := write(t, tags[:1])
	edit := func(i int, c byte) []byte {
		b := bytes.Clone(good)
		b[i] = c
		return b
	}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"empty", nil, io.ErrUnexpectedEOF},
		{"signature", edit(0, 'f'), ErrFormat},
		{"version", edit(3, 2), ErrFormat},
		{"header length", edit(5, 1), ErrFormat},
		{"short header length", edit(8, 8), ErrFormat},
		{"encrypted", edit(13, 0x28), ErrFormat},
		{"stream ID", edit(21, 1), ErrFormat},
		{"cut in the header", good[:11], io.ErrUnexpectedEOF},
		{"cut in a tag header", good[:20], io.ErrUnexpectedEOF},
		{"cut in the data", good[:30], io.ErrUnexpectedEOF},
		{"cut before the size", good[:len(good)-4], io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := read(NewReader(bytes.NewReader(tt.b), 0)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	_, err := read(NewReader(bytes.NewReader(write(t, tags)), 1000))
	var large *TooLargeError
	if !errors.As(err, &large) || large.Size != 70000 || large.Limit != 1000 {
		t.Errorf("limit: %v", err)
	}
	if err := NewWriter(io.Discard).Write(Tag{Data: make([]byte, MaxData+1)}); !errors.As(err, &large) {
		t.Errorf("writer: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, tag := range tags[:2] {
		if err := w.Write(tag); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		tags, err := read(NewReader(bytes.NewReader(in), 1<<16))
		if len(tags) == 0 {
			return
		}
		if err == nil {
			t.Fatal("no end")
		}
		again, err := read(NewReader(bytes.NewReader(write(t, tags)), 0))
		if err != io.EOF {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tags, again); diff != "" {
			t.Error(diff)
		}
	})
}
