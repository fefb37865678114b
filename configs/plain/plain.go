// Package plain reads text files that any system may have written.
package plain

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// Text gives a text file's content as UTF-8 without a byte order mark, whichever
// system wrote it: Windows' PowerShell writes UTF-16, some editors a mark. The error
// of what is no text is one line.
func Text(content []byte) ([]byte, error) {
	var from encoding.Encoding
	switch order, marked := byteOrder(content); {
	case bytes.HasPrefix(content, []byte("\xef\xbb\xbf")):
		content = content[3:]
	case order != nil:
		policy := unicode.IgnoreBOM
		if marked {
			policy = unicode.ExpectBOM
		}
		from = unicode.UTF16(*order, policy)
	}
	if from != nil {
		text, err := from.NewDecoder().Bytes(content)
		if err != nil {
			return nil, fmt.Errorf("is no text: it begins as UTF-16, and goes on otherwise: %w", err)
		}
		content = text
	}
	if i := bytes.IndexFunc(content, control); i >= 0 {
		return nil, fmt.Errorf("is no text: there is a control character (0x%02x) in line %d", content[i], lineAt(content, i))
	}
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("is no UTF-8, from line %d on; save it as UTF-8", lineAt(content, invalidAt(content)))
	}
	return content, nil
}

// control tells a character that no text has.
func control(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

// byteOrder is that of UTF-16, which is told by its mark, or by zeros beside the letters
// of the first line; nil: it is something else.
func byteOrder(content []byte) (order *unicode.Endianness, marked bool) {
	little, big := unicode.LittleEndian, unicode.BigEndian
	switch {
	case len(content) < 2 || len(content)%2 != 0:
		return nil, false
	case content[0] == 0xff && content[1] == 0xfe:
		return &little, true
	case content[0] == 0xfe && content[1] == 0xff:
		return &big, true
	}
	const look = 64
	var zeros [2]int // at even and odd places
	for i, b := range content[:min(len(content), look)] {
		if b == 0 {
			zeros[i%2]++
		}
	}
	switch half := min(len(content), look) / 2; {
	case zeros[0] == 0 && zeros[1] >= half*3/4 && half > 1:
		return &little, false
	case zeros[1] == 0 && zeros[0] >= half*3/4 && half > 1:
		return &big, false
	}
	return nil, false
}

func lineAt(content []byte, i int) int { return 1 + bytes.Count(content[:i], []byte("\n")) }

func invalidAt(content []byte) int {
	for i := 0; i < len(content); {
		r, size := utf8.DecodeRune(content[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(content)
}
