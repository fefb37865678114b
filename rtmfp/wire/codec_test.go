package wire_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pileus/rtmfp/wire"
)

// chunk is what every chunk type of package wire is.
type chunk interface {
	Append(b []byte) []byte
}

// bare is a chunk without a struct: the empty ones and those nobody knows.
type bare struct {
	typ  wire.ChunkType
	body []byte
}

func (c bare) Append(b []byte) []byte {
	switch c.typ {
	case wire.ChunkCloseRequest:
		return wire.AppendCloseRequest(b)
	case wire.ChunkCloseAck:
		return wire.AppendCloseAck(b)
	}
	b = append(b, byte(c.typ), byte(len(c.body)>>8), byte(len(c.body)))
	return append(b, c.body...)
}

func parsed[C chunk](c C, err error) (chunk, error) { return c, err }

func parseChunk(typ wire.ChunkType, body []byte) (chunk, error) {
	switch typ {
	case wire.ChunkPing:
		return parsed(wire.ParsePing(body))
	case wire.ChunkFIHello:
		return parsed(wire.ParseFIHello(body))
	case wire.ChunkUserData:
		return parsed(wire.ParseUserData(body))
	case wire.ChunkNextUserData:
		return parsed(wire.ParseNextUserData(body))
	case wire.ChunkBufferProbe:
		return parsed(wire.ParseBufferProbe(body))
	case wire.ChunkIHello:
		return parsed(wire.ParseIHello(body))
	case wire.ChunkIIKeying:
		return parsed(wire.ParseIIKeying(body))
	case wire.ChunkPingReply:
		return parsed(wire.ParsePingReply(body))
	case wire.ChunkAckBitmap:
		return parsed(wire.ParseAckBitmap(body))
	case wire.ChunkAckRanges:
		return parsed(wire.ParseAckRanges(body))
	case wire.ChunkFlowException:
		return parsed(wire.ParseFlowException(body))
	case wire.ChunkRHello:
		return parsed(wire.ParseRHello(body))
	case wire.ChunkRedirect:
		return parsed(wire.ParseRedirect(body))
	case wire.ChunkRIKeying:
		return parsed(wire.ParseRIKeying(body))
	case wire.ChunkCookieChange:
		return parsed(wire.ParseCookieChange(body))
	case wire.ChunkPacketFragment:
		return parsed(wire.ParsePacketFragment(body))
	case wire.ChunkECNReport:
		return parsed(wire.ParseECNReport(body))
	case wire.ChunkIgnore, wire.ChunkPadding, wire.ChunkCloseRequest, wire.ChunkCloseAck:
	}
	return bare{typ, body}, nil
}

// chunkOptions compare chunks; to them an empty field and a nil one are the same.
var chunkOptions = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(wire.Address{}),
	cmp.AllowUnexported(bare{}),
}

// unhex decodes hexadecimal digits, with spaces where they help the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// onlyChunk parses a packet body that is exactly one chunk.
func onlyChunk(t testing.TB, b []byte) (wire.ChunkType, []byte) {
	t.Helper()
	typ, body, rest, ok := wire.NextChunk(b)
	if !ok || len(rest) != 0 {
		t.Fatalf("%x is not one whole chunk", b)
	}
	return typ, body
}

func checkBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}
