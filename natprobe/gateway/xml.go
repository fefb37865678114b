package gateway

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Devices write XML by printf. What is read of it is a few elements by their names,
// whatever their namespaces, and whatever encoding it is said to be in.

// closing is the end of a description or an answer.
var closing = regexp.MustCompile(`(?i)</\s*([a-z0-9_-]+:)?(root|envelope)\s*>`)

// xmlEnds reports whether b has the end of one.
func xmlEnds(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 { // of 16 bits
		b = []byte(readable(b))
	}
	return closing.Match(b)
}

// readable is a text of any encoding, without what no XML may have in it. What is
// neither UTF-8 nor of 16 bits is taken for Latin-1: every byte is something there.
func readable(b []byte) string {
	text := ""
	switch {
	case len(b) > 1 && (b[0] == 0xfe && b[1] == 0xff || b[0] == 0 && b[1] == '<'):
		text = sixteen(b, binary.BigEndian)
	case len(b) > 1 && (b[0] == 0xff && b[1] == 0xfe || b[0] == '<' && b[1] == 0):
		text = sixteen(b, binary.LittleEndian)
	case utf8.Valid(b):
		text = string(b)
	default:
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		text = string(runes)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' || r == '\ufeff' || r == '\ufffe' || r == '\uffff' {
			return -1
		}
		return r
	}, text)
}

func sixteen(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// element is one that has text and no others in it.
type element struct {
	name string // without its namespace, in lower case
	text string
}

// elements are those of a text, in order, and the ends of all others, with no text. Where
// it is no XML, reading goes on behind.
func elements(b []byte) []element {
	text := declaration.ReplaceAllString(readable(b), "") // it says which XML this is, wrongly
	var all []element
	for range maxFaults {
		d := xml.NewDecoder(strings.NewReader(text))
		d.Strict = false // raw & and tags that do not match
		d.Entity = xml.HTMLEntity
		all = read(d, all)
		at := int(d.InputOffset())
		if at >= len(text) || at == 0 {
			break
		}
		text = text[at:]
	}
	return all
}

// declaration is that of XML, or another processing instruction.
var declaration = regexp.MustCompile(`<\?[^>]*>`)

// read appends what a decoder finds until a fault or the end.
func read(d *xml.Decoder, all []element) []element {
	text := ""
	for {
		token, err := d.RawToken()
		if err != nil || len(all) >= maxElements {
			return all
		}
		switch t := token.(type) {
		case xml.StartElement:
			text = ""
		case xml.CharData:
			text += string(t)
		case xml.EndElement:
			all = append(all, element{strings.ToLower(t.Name.Local), strings.TrimSpace(text)})
			text = ""
		default:
		}
	}
}

// textOf is that of the first element of a name.
func textOf(all []element, name string) (string, bool) {
	for _, e := range all {
		if e.name == strings.ToLower(name) {
			return e.text, true
		}
	}
	return "", false
}
