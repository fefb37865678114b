package wire_test

import (
	"net/netip"
	"testing"

	"pileus/rtmfp/internal/vectors"
	"pileus/rtmfp/wire"
)

// sink keeps results from being optimised away.
var sink uint64

// readPacket does what a receiver does with a packet: every chunk parsed, every
// list walked.
func readPacket(packet []byte) (sum uint64) {
	_, rest, err := wire.ParseHeader(packet)
	if err != nil {
		return 0
	}
	for {
		typ, body, next, ok := wire.NextChunk(rest)
		if !ok {
			return sum
		}
		rest = next
		switch typ {
		case wire.ChunkUserData:
			c, _ := wire.ParseUserData(body)
			for o := range wire.Options(c.Options) {
				sum += o.Type
			}
			sum += c.Seq
		case wire.ChunkNextUserData:
			c, _ := wire.ParseNextUserData(body)
			sum += uint64(len(c.Data))
		case wire.ChunkAckRanges:
			c, _ := wire.ParseAckRanges(body)
			for r := range c.All() {
				sum += r.To
			}
		case wire.ChunkAckBitmap:
			c, _ := wire.ParseAckBitmap(body)
			for r := range c.All() {
				sum += r.To
			}
		case wire.ChunkBufferProbe:
			c, _ := wire.ParseBufferProbe(body)
			sum += c.Flow
		case wire.ChunkFlowException:
			c, _ := wire.ParseFlowException(body)
			sum += c.Code
		case wire.ChunkECNReport:
			c, _ := wire.ParseECNReport(body)
			sum += uint64(c.Count)
		case wire.ChunkPing:
			c, _ := wire.ParsePing(body)
			sum += uint64(len(c.Message))
		case wire.ChunkPingReply:
			c, _ := wire.ParsePingReply(body)
			sum += uint64(len(c.Message))
		case wire.ChunkIHello:
			c, _ := wire.ParseIHello(body)
			for o := range wire.Options(c.EPD) {
				sum += o.Type
			}
		case wire.ChunkFIHello:
			c, _ := wire.ParseFIHello(body)
			sum += uint64(c.ReplyAddress.AddrPort.Port())
		case wire.ChunkRHello:
			c, _ := wire.ParseRHello(body)
			sum += uint64(len(c.Cookie))
		case wire.ChunkRedirect:
			c, _ := wire.ParseRedirect(body)
			for a := range c.Addresses() {
				sum += uint64(a.AddrPort.Port())
			}
		case wire.ChunkCookieChange:
			c, _ := wire.ParseCookieChange(body)
			sum += uint64(len(c.NewCookie))
		case wire.ChunkIIKeying:
			c, _ := wire.ParseIIKeying(body)
			sum += uint64(c.SessionID[0])
		case wire.ChunkRIKeying:
			c, _ := wire.ParseRIKeying(body)
			sum += uint64(c.SessionID[0])
		case wire.ChunkPacketFragment:
			c, _ := wire.ParsePacketFragment(body)
			sum += c.Fragment
		case wire.ChunkIgnore, wire.ChunkPadding, wire.ChunkCloseRequest, wire.ChunkCloseAck:
		}
	}
}

var (
	benchData    = make([]byte, 1100)
	benchOptions = []byte{5, 0, 'T', 'C', 4, 0, 2, 10, 2}
	benchRanges  = []wire.AckRange{{18, 18}, {21, 24}, {27, 28}, {40, 300}}
	benchAddrs   = []wire.Address{
		{AddrPort: netip.MustParseAddrPort("192.0.2.1:1935"), Origin: wire.OriginObserved},
		{AddrPort: netip.MustParseAddrPort("[2001:db8::1]:1935"), Origin: wire.OriginReported},
	}
)

// writePacket appends a packet with a chunk of every type.
func writePacket(b []byte) []byte {
	b = wire.Header{Mode: wire.ModeInitiator, HasTimestamp: true, HasEcho: true}.Append(b)
	b = wire.IHello{EPD: benchOptions, Tag: benchData[:16]}.Append(b)
	b = wire.FIHello{EPD: benchOptions, ReplyAddress: benchAddrs[0], Tag: benchData[:16]}.Append(b)
	b = wire.RHello{Tag: benchData[:16], Cookie: benchData[:64], Certificate: benchData[:70]}.Append(b)
	b = wire.AppendRedirect(b, benchData[:16], benchAddrs)
	b = wire.CookieChange{OldCookie: benchData[:64], NewCookie: benchData[:64]}.Append(b)
	b = wire.IIKeying{Cookie: benchData[:64], Certificate: benchData[:132], Component: benchData[:76]}.Append(b)
	b = wire.RIKeying{Component: benchData[:139]}.Append(b)
	b = wire.Ping{Message: benchData[:8]}.Append(b)
	b = wire.PingReply{Message: benchData[:8]}.Append(b)
	b = wire.ECNReport{Count: 1}.Append(b)
	b = wire.FlowException{Flow: 2, Code: 1}.Append(b)
	b = wire.AppendAck(b, 2, 64, 16, benchRanges, 8000)
	b = wire.AppendAckRanges(b, 2, 64, 16, benchRanges, 8000)
	b = wire.AppendAckBitmap(b, 2, 64, 16, benchRanges, 8000)
	b = wire.BufferProbe{Flow: 2}.Append(b)
	b = wire.UserData{
		Flow: 2, Seq: 300, FSNOffset: 4, HasOptions: true, Options: benchOptions, Data: benchData,
	}.Append(b)
	b = wire.NextUserData{Data: benchData[:100]}.Append(b)
	b = wire.PacketFragment{PacketID: 1, Fragment: 2, Data: benchData}.Append(b)
	b = wire.AppendCloseRequest(b)
	return wire.AppendCloseAck(b)
}

func TestNoAllocations(t *testing.T) {
	buf := writePacket(nil)
	allocs := testing.AllocsPerRun(100, func() {
		buf = writePacket(buf[:0])
		sink += readPacket(buf)
		if id, ok := wire.Unscramble(buf); ok {
			id.Scramble(buf)
			id.Scramble(buf)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// benchmarkChunk measures one chunk type there and back.
func benchmarkChunk(b *testing.B, appendTo func(b []byte) []byte) {
	packet := appendTo([]byte{byte(wire.ModeInitiator)})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(packet)))
		for b.Loop() {
			sink += readPacket(packet)
		}
	})
	b.Run("append", func(b *testing.B) {
		buf := make([]byte, 0, len(packet))
		b.ReportAllocs()
		b.SetBytes(int64(len(packet)))
		for b.Loop() {
			buf = appendTo(buf[:0])
		}
	})
}

func BenchmarkIHello(b *testing.B) {
	benchmarkChunk(b, wire.IHello{EPD: benchOptions, Tag: benchData[:16]}.Append)
}

func BenchmarkIIKeying(b *testing.B) {
	benchmarkChunk(b, wire.IIKeying{
		Cookie: benchData[:64], Certificate: benchData[:132], Component: benchData[:76],
	}.Append)
}

func BenchmarkRedirect(b *testing.B) {
	benchmarkChunk(b, func(b []byte) []byte { return wire.AppendRedirect(b, benchData[:16], benchAddrs) })
}

func BenchmarkUserData(b *testing.B) {
	benchmarkChunk(b, wire.UserData{Flow: 2, Seq: 300, FSNOffset: 4, Data: benchData}.Append)
}

func BenchmarkUserDataOptions(b *testing.B) {
	benchmarkChunk(b, wire.UserData{
		Flow: 2, Seq: 1, FSNOffset: 1, HasOptions: true, Options: benchOptions, Data: benchData,
	}.Append)
}

func BenchmarkAckRanges(b *testing.B) {
	benchmarkChunk(b, func(b []byte) []byte { return wire.AppendAckRanges(b, 2, 64, 16, benchRanges, 1200) })
}

func BenchmarkAckBitmap(b *testing.B) {
	benchmarkChunk(b, func(b []byte) []byte { return wire.AppendAckBitmap(b, 2, 64, 16, benchRanges, 1200) })
}

func BenchmarkAck(b *testing.B) {
	benchmarkChunk(b, func(b []byte) []byte { return wire.AppendAck(b, 2, 64, 16, benchRanges, 1200) })
}

// BenchmarkRecorded reads every packet of a recorded media session.
func BenchmarkRecorded(b *testing.B) {
	e := vectors.Load(b, "s01_media_tcpublish_tcconn")
	b.ReportAllocs()
	for b.Loop() {
		for i := range e.Datagrams {
			sink += readPacket(e.Datagrams[i].PacketBytes())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(e.Datagrams)), "ns/packet")
}

func BenchmarkUnscramble(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		id, _ := wire.Unscramble(benchData)
		sink += uint64(id[0])
	}
}
