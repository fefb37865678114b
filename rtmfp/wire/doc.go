// Package wire turns RTMFP's bytes into values and back: RFC 7016 section 2.
//
// It holds no clock, socket or key. A plain packet, as it leaves the
// cryptography profile, is read so:
//
//	h, rest, err := wire.ParseHeader(packet)
//	for {
//		typ, body, next, ok := wire.NextChunk(rest)
//		if !ok {
//			break // padding
//		}
//		if typ.AllowedIn(h.Mode) {
//			switch typ {
//			case wire.ChunkIHello:
//				hello, err := wire.ParseIHello(body)
//				...
//			}
//		}
//		rest = next
//	}
//
// and written so:
//
//	packet := wire.Header{Mode: wire.ModeStartup}.Append(buf[:0])
//	packet = wire.IHello{EPD: epd, Tag: tag}.Append(packet)
//
// Neither direction allocates. Byte slices in parsed values alias the input, so
// they live as long as the packet buffer does.
//
// Parsers take any input: they return an error, never panic, and do work linear
// in the input's length whatever numbers stand in it. A chunk that does not
// parse is ignored and the packet goes on with the next (section 2.3). Reserved
// bits are written as 0 and ignored when read.
//
// A chunk's length field has 16 bits. Append returns its argument unchanged when
// the payload would exceed 65,535 bytes, far beyond any datagram.
package wire
