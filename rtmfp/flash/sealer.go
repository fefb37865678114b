package flash

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"pileus/rtmfp/wire"
)

const (
	sessionIDLen = 4
	checksumLen  = 2
	keyLen       = 16 // of AES-128, the only cipher (RFC 7425 section 4.7.1)
	blockLen     = aes.BlockSize
)

// zeroIV: "the initialization vector (IV) for each packet is 16 zero bytes"
// (RFC 7425 section 4.7.1).
var zeroIV [blockLen]byte

// cbcMode is a block mode that can be used for another packet, as crypto/tls
// wants it, too.
type cbcMode interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

func newEncrypter(key []byte) (cbcMode, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// The mode holds a copy of the block cipher; nothing else does.
	mode, ok := cipher.NewCBCEncrypter(block, zeroIV[:]).(cbcMode)
	if !ok {
		return nil, errors.New("flash: AES-CBC cannot be used again")
	}
	return mode, nil
}

// protection is how the packets of one direction are verified: the result of
// negotiation.
type protection struct {
	mac       macKey // nil: simple checksum
	macLength uint8  // bytes on the wire
	sequenced bool   // session sequence numbers
}

// Sealer makes datagrams of packets: RFC 7425 section 4.7 and RFC 7016 section
// 2.2.2. It never allocates as long as its buffers suffice.
type Sealer struct {
	protection
	cbc cbcMode
	seq uint64
}

// Begin returns buf[:0] with the bytes before the packet: append the packet and
// call Finish. Nothing happens if Finish is not called after all.
func (s *Sealer) Begin(buf []byte) []byte {
	buf = append(buf[:0], 0, 0, 0, 0)
	if s.sequenced {
		buf = wire.AppendVLU(buf, s.seq)
	}
	if s.mac == nil {
		buf = append(buf, 0, 0)
	}
	return buf
}

// Finish makes a datagram, in place, of what Begin returned and the packet
// appended to it, which is not empty. id is the receiver's session ID.
func (s *Sealer) Finish(buf []byte, id wire.SessionID) []byte {
	for (len(buf)-sessionIDLen)%blockLen != 0 {
		buf = append(buf, 0xff)
	}
	blocks := buf[sessionIDLen:]
	if s.mac == nil {
		// Sequence number and checksum itself are not covered, padding is.
		at := 0
		if s.sequenced {
			at = wire.VLULen(s.seq)
		}
		binary.BigEndian.PutUint16(blocks[at:], checksum(blocks[at+checksumLen:]))
	}
	s.cbc.SetIV(zeroIV[:])
	s.cbc.CryptBlocks(blocks, blocks)
	if s.mac != nil {
		buf = s.mac.append(buf, blocks, int(s.macLength))
	}
	id.Scramble(buf)
	s.seq++
	return buf
}

// Overhead returns the most bytes by which the next datagram is longer than its
// packet.
func (s *Sealer) Overhead() int {
	return sessionIDLen + s.prefixLen() + blockLen - 1 + int(s.macLength)
}

// Room returns the length of the longest packet that the next datagram, of at
// most the given length, can carry; not above 0 if there is none.
func (s *Sealer) Room(datagram int) int {
	blocks := (datagram - sessionIDLen - int(s.macLength)) / blockLen
	return blocks*blockLen - s.prefixLen()
}

// prefixLen is the length of sequence number and checksum.
func (s *Sealer) prefixLen() int {
	n := 0
	if s.sequenced {
		n = wire.VLULen(s.seq)
	}
	if s.mac == nil {
		n += checksumLen
	}
	return n
}

// HMACLength returns the bytes of HMAC per datagram, 0 if there is none.
func (p *protection) HMACLength() int { return int(p.macLength) }

// Sequenced reports whether packets carry session sequence numbers.
func (p *protection) Sequenced() bool { return p.sequenced }
