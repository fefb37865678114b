// Package flv reads and writes Flash Video streams tag by tag: what RTMP
// messages of the types audio, video and data are in a file.
package flv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of tags, equal to those of RTMP messages.
const (
	Audio  uint8 = 8
	Video  uint8 = 9
	Script uint8 = 18
)

const (
	headerLen    = 9
	tagHeaderLen = 11
	hasAudio     = 0x04
	hasVideo     = 0x01

	// maxHeader bounds the announced length of the file header, in bytes.
	maxHeader = 1 << 10

	// MaxData is the longest data of a tag that the format can hold, in bytes.
	MaxData = 1<<24 - 1
)

// ErrFormat is returned for what is not FLV.
var ErrFormat = errors.New("flv: not an FLV stream")

// TooLargeError refuses a tag.
type TooLargeError struct{ Size, Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("flv: tag of %d bytes exceeds the limit of %d", e.Size, e.Limit)
}

// Tag is one message of a stream.
type Tag struct {
	Type      uint8  // Audio, Video or Script; others may exist
	Timestamp uint32 // milliseconds
	Data      []byte
}

// Reader reads tags.
type Reader struct {
	r     *bufio.Reader
	limit int
	data  []byte
	begun bool
}

// NewReader makes a Reader that refuses tags with more than limit bytes of
// data; 0 is MaxData.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = MaxData
	}
	return &Reader{r: bufio.NewReader(r), limit: limit}
}

// Next reads a tag. Its Data is valid until the next call. The errors are io.EOF
// between tags, io.ErrUnexpectedEOF within one, ErrFormat, a *TooLargeError, and
// those of the underlying reader; all are final.
func (r *Reader) Next() (Tag, error) {
	if !r.begun {
		if err := r.begin(); err != nil {
			return Tag{}, err
		}
		r.begun = true
	}
	var h [tagHeaderLen]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return Tag{}, err
	}
	size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	// The upper bits of the type say that the data is encrypted, or nothing
	// that is known; the stream ID is always 0.
	if h[0]&0xe0 != 0 || h[8]|h[9]|h[10] != 0 {
		return Tag{}, ErrFormat
	}
	if size > r.limit {
		return Tag{}, &TooLargeError{Size: size, Limit: r.limit}
	}
	if cap(r.data) < size {
		r.data = make([]byte, size)
	}
	r.data = r.data[:size]
	if err := within(io.ReadFull(r.r, r.data)); err != nil {
		return Tag{}, err
	}
	// The size of the tag comes again behind it. Some writers get it wrong, and
	// a stream that was cut off may end without it.
	if _, err := r.r.Discard(4); err != nil && !errors.Is(err, io.EOF) {
		return Tag{}, err
	}
	return Tag{
		Type:      h[0],
		Timestamp: uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6]),
		Data:      r.data,
	}, nil
}

func (r *Reader) begin() error {
	var h [headerLen]byte
	if err := within(io.ReadFull(r.r, h[:])); err != nil {
		return err
	}
	offset := binary.BigEndian.Uint32(h[5:])
	if string(h[:3]) != "FLV" || h[3] != 1 || offset < headerLen || offset > maxHeader {
		return ErrFormat
	}
	return within(r.r.Discard(int(offset) - headerLen + 4))
}

// within makes the end of the stream unexpected.
func within(_ int, err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Writer writes tags, each as soon as it is given.
type Writer struct {
	w     io.Writer
	buf   []byte
	begun bool
}

// NewWriter makes a Writer. The file header, which announces sound and pictures,
// is written before the first tag.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes a tag with a single call of the underlying writer.
func (w *Writer) Write(t Tag) error {
	if len(t.Data) > MaxData {
		return &TooLargeError{Size: len(t.Data), Limit: MaxData}
	}
	b := w.buf[:0]
	if !w.begun {
		b = append(b, 'F', 'L', 'V', 1, hasAudio|hasVideo, 0, 0, 0, headerLen, 0, 0, 0, 0)
		w.begun = true
	}
	n := len(t.Data)
	ts := t.Timestamp
	b = append(b,
		t.Type, byte(n>>16), byte(n>>8), byte(n),
		byte(ts>>16), byte(ts>>8), byte(ts), byte(ts>>24),
		0, 0, 0)
	b = append(b, t.Data...)
	b = binary.BigEndian.AppendUint32(b, uint32(tagHeaderLen+n))
	w.buf = b
	_, err := w.w.Write(b)
	return err
}
