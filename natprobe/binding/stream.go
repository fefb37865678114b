package binding

import (
	"encoding/binary"
	"errors"
	"io"
)

// maxStreamed is the longest message read from a stream, in bytes; those of Binding
// are shorter.
const maxStreamed = 2048

var errTooLong = errors.New("binding: a message longer than any")

// Read reads one message from a stream, where its header tells its length (RFC 8489
// section 6.2.2). It is not checked otherwise.
func Read(in io.Reader) ([]byte, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(header[2:]))
	if headerLen+length > maxStreamed {
		return nil, errTooLong
	}
	message := make([]byte, headerLen+length)
	copy(message, header[:])
	_, err := io.ReadFull(in, message[headerLen:])
	return message, err
}
