package netconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/internal/vectors"
)

func TestRecordedMetadata(t *testing.T) {
	p := vectors.Primitives(t)
	if len(p.FlowMetadata) == 0 || len(p.FlowMetadataParse) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range p.FlowMetadata {
		m := Metadata{StreamID: uint32(row.StreamID), NetworkOrder: row.NetworkOrder}
		if b := m.Append(nil); !bytes.Equal(b, row.Hex) {
			t.Errorf("%+v: %x, want %s", m, b, row.Hex)
		}
		if got, err := ParseMetadata(row.Hex); err != nil || got != m {
			t.Errorf("%s: %+v, %v", row.Hex, got, err)
		}
	}
	for _, row := range p.FlowMetadataParse {
		got, err := ParseMetadata(row.Hex)
		if (err == nil) != row.OK || uint64(got.StreamID) != row.StreamID || got.NetworkOrder != row.NetworkOrder {
			t.Errorf("%s: %+v, %v", row.Hex, got, err)
		}
	}
	if _, err := ParseMetadata([]byte{'T', 'C', 4, 0x88, 0x80, 0x80, 0}); !errors.Is(err, ErrMetadata) {
		t.Errorf("stream ID of 25 bits: %v", err)
	}
}

func TestRecordedFlowSync(t *testing.T) {
	rows := vectors.Primitives(t).FlowSync
	if len(rows) == 0 {
		t.Fatal("no rows")
	}
	for _, row := range rows {
		if b := AppendFlowSync(nil, row.SyncID, row.Count); !bytes.Equal(b, row.Hex) {
			t.Errorf("%x, want %s", b, row.Hex)
		}
	}
}

// Every message recorded on a message flow splits as the recorder says and
// encodes back to the same bytes, values included.
func TestRecordedMessages(t *testing.T) {
	seen := map[MessageType]int{}
	check := func(name string, b []byte, want *vectors.TCMessage) {
		t.Helper()
		m, err := ParseMessage(b)
		if err != nil || m.Type != MessageType(want.Type) || m.Timestamp != want.Timestamp {
			t.Errorf("%s: %v %d, %v", name, m.Type, m.Timestamp, err)
			return
		}
		seen[m.Type]++
		again := m.Append(nil)
		switch m.Type {
		case TypeUserControl:
			e, data, err := ParseEvent(m)
			if err != nil || want.Event == nil || uint16(e) != *want.Event || !bytes.Equal(data, want.EventData) {
				t.Errorf("%s: event %d %x, %v", name, e, data, err)
			}
			again = rebuildEvent(t, e, data)
		case TypeCommand, TypeCommandExtended:
			c, err := ParseCommand(m)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			again = c.Append(nil, m.Type)
			binary.BigEndian.PutUint32(again[1:], m.Timestamp)
		case TypeData:
			v, err := m.Data()
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			again = AppendData(nil, m.Timestamp, v...)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%s: encodes as\n%x, want\n%x", name, again, b)
		}
	}
	for _, e := range vectors.Exchanges(t) {
		for _, f := range e.Flows {
			for _, m := range f.Messages {
				if m.TC == nil {
					continue
				}
				if _, err := ParseMetadata(f.Metadata); err != nil {
					t.Errorf("%s: metadata %s: %v", e.Scenario, f.Metadata, err)
				}
				if m.Hex != nil {
					check(e.Scenario, m.Hex, m.TC)
				}
			}
		}
	}
	for _, c := range vectors.Primitives(t).Commands {
		check(c.Name, c.TCMessage, &c.Decoded)
	}
	for _, typ := range []MessageType{TypeUserControl, TypeAudio, TypeVideo, TypeData, TypeCommand, TypeCommandExtended} {
		if seen[typ] == 0 {
			t.Errorf("no message of type %#x", typ)
		}
	}
}

func rebuildEvent(t *testing.T, e Event, data []byte) []byte {
	t.Helper()
	switch e {
	case EventStreamBegin:
		return AppendStreamBegin(nil, binary.BigEndian.Uint32(data))
	case EventFlowSync:
		id, count, err := parseFlowSync(data)
		if err != nil {
			t.Error(err)
		}
		return AppendFlowSync(nil, id, count)
	case EventSetKeepalive:
		server, peer, err := parseSetKeepalive(data)
		if err != nil {
			t.Error(err)
		}
		return AppendSetKeepalive(nil, server, peer)
	default:
		t.Errorf("unexpected event %d", e)
		return nil
	}
}

func TestSetKeepaliveBounds(t *testing.T) {
	b := AppendSetKeepalive(nil, -time.Second, 1<<33*time.Millisecond)
	if !bytes.HasSuffix(b, []byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}) {
		t.Errorf("%x", b)
	}
}

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		name    string
		typ     MessageType
		payload []byte
		want    Command
		err     error
	}{
		{
			"object left out", TypeCommand, amf.Append(nil, amf.String("setPeerInfo"), amf.Number(0), amf.String("192.0.2.1:1")),
			Command{Name: "setPeerInfo", Object: amf.String("192.0.2.1:1")},
			nil,
		},
		{"name only", TypeCommand, amf.Append(nil, amf.String("x")), Command{Name: "x"}, nil},
		{
			"transaction of another type", TypeCommand, amf.Append(nil, amf.String("x"), amf.String("1")),
			Command{Name: "x"},
			nil,
		},
		{
			"AMF3 values", TypeCommandExtended,
			[]byte{0, 0x11, 6, 3, 'x', 0x11, 4, 5, 0x11, 1, 0x11, 3},
			Command{Name: "x", Transaction: 5, Object: amf.Null{}, Args: amf.Args{amf.Boolean(true)}},
			nil,
		},
		{"no values", TypeCommand, nil, Command{}, ErrNoCommand},
		{"number for a name", TypeCommand, amf.Append(nil, amf.Number(1)), Command{}, ErrNoCommand},
		{"no format", TypeCommandExtended, nil, Command{}, ErrFormat},
		{"format 1", TypeCommandExtended, []byte{1, 2, 0, 0}, Command{}, ErrFormat},
		{"truncated value", TypeCommand, []byte{2, 0, 9, 'x'}, Command{}, amf.ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseCommand(Message{Type: tt.typ, Payload: tt.payload})
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err == nil {
				tt.want.Size = headerLen + len(tt.payload)
			}
			if diff := cmp.Diff(tt.want, c); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A command encoded once is what each connection would have sent, and its length is known
// before.
func TestEncoded(t *testing.T) {
	args := amf.Args{amf.Object{{Name: "a", Value: amf.Number(1)}}, amf.String("x"), amf.Bytes("y")}
	c := Command{Name: "onRelay", Args: args}
	e := Encode(c.Name, args...)
	for _, typ := range []MessageType{TypeCommand, TypeCommandExtended} {
		if diff := cmp.Diff(c.Append(nil, typ), e.message(typ)); diff != "" {
			t.Errorf("type %#x: %s", typ, diff)
		}
	}
	if n := c.Len(1 << 20); n != e.Len() {
		t.Errorf("%d bytes, known as %d", e.Len(), n)
	}
	for limit := range e.Len() {
		if n := c.Len(limit); n <= limit {
			t.Errorf("%d at a limit of %d", n, limit)
		}
	}
}

// A data message of type 0x0f comes with and without a format selector.
func TestDataExtended(t *testing.T) {
	b := amf.Append(nil, amf.String("onText"), amf.String("x"))
	for _, payload := range [][]byte{b, append([]byte{0}, b...)} {
		v, err := Message{Type: TypeDataExtended, Payload: payload}.Data()
		if name, _ := v.String(0); err != nil || name != "onText" || len(v) != 2 {
			t.Errorf("%v, %v", v, err)
		}
	}
}

func TestDropNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range DropReasons() {
		if s := r.String(); s == "" || s == "unknown" || seen[s] {
			t.Errorf("reason %d is called %q", r, s)
		} else {
			seen[s] = true
		}
	}
	if DropReason(200).String() != "unknown" {
		t.Error("a reason that is none")
	}
}

func FuzzParseMessage(f *testing.F) {
	seeds := 0
	for _, c := range vectors.Primitives(f).Commands {
		f.Add([]byte(c.TCMessage))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			return
		}
		if again := m.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x", again)
		}
		_, _, _ = ParseEvent(m)
		_, _ = m.Data()
		c, err := ParseCommand(m)
		if err != nil {
			return
		}
		peerAddresses(c, 1)
		once := c.Append(nil, TypeCommand)
		if n := c.Len(1 << 24); n != len(once)+1 || c.Size != len(b) {
			t.Fatalf("%d bytes of %d, known as %d of %d", len(once), len(b), n, c.Size)
		}
		m, err = ParseMessage(once)
		if err != nil {
			t.Fatal(err)
		}
		if c, err = ParseCommand(m); err != nil {
			t.Fatal(err)
		}
		if twice := c.Append(nil, TypeCommand); !bytes.Equal(once, twice) {
			t.Errorf("%x\nthen %x", once, twice)
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	for _, row := range vectors.Primitives(f).FlowMetadata {
		f.Add([]byte(row.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMetadata(b)
		if err != nil {
			return
		}
		if again, err := ParseMetadata(m.Append(nil)); err != nil || again != m {
			t.Errorf("%+v, then %+v, %v", m, again, err)
		}
	})
}

// What a command is given, whether or not the null before it was left out.
func TestGiven(t *testing.T) {
	o, more := amf.Object{{Name: "code", Value: amf.String("x")}}, amf.Object{{Name: "y", Value: amf.Number(1)}}
	for name, test := range map[string]struct {
		c    Command
		want amf.Args
	}{
		"nothing":               {Command{}, nil},
		"a null":                {Command{Object: amf.Null{}, Args: amf.Args{o}}, amf.Args{o}},
		"an undefined":          {Command{Object: amf.Undefined{}, Args: amf.Args{o}}, amf.Args{o}},
		"the null left out":     {Command{Object: o}, amf.Args{o}},
		"left out, and a value": {Command{Object: amf.String("film"), Args: amf.Args{amf.Number(-2)}}, amf.Args{amf.String("film"), amf.Number(-2)}},
		"an object of its own":  {Command{Object: more, Args: amf.Args{o}}, amf.Args{o}},
	} {
		if diff := cmp.Diff(test.want, test.c.Given()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
