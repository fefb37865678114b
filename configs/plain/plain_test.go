package plain

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

func sixteen(order binary.AppendByteOrder, mark bool, text string) string {
	var b []byte
	if mark {
		b = order.AppendUint16(b, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

func TestText(t *testing.T) {
	const text = "listen: [1935]\r\nhostname: \"n\u00f6de\" # \U0001f600\n"
	for name, content := range map[string]string{
		"UTF-8":                 text,
		"UTF-8 with a mark":     "\xef\xbb\xbf" + text,
		"UTF-16 of PowerShell":  sixteen(binary.LittleEndian, true, text),
		"UTF-16, big end first": sixteen(binary.BigEndian, true, text),
		"without a mark":        sixteen(binary.LittleEndian, false, text),
		"neither":               sixteen(binary.BigEndian, false, text),
	} {
		got, err := Text([]byte(content))
		if err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, short := range []string{"", "a", "ab", "{}"} {
		if got, err := Text([]byte(short)); err != nil || string(got) != short {
			t.Errorf("%q: %q, %v", short, got, err)
		}
	}
	for content, want := range map[string]string{
		"\x7fELF\x02\x01\x01\x00":                   "is no text: there is a control character (0x7f) in line 1",
		"listen: [1935]\n\x00\x00":                  "control character (0x00) in line 2",
		"hostname: n\xf6de\n":                       "is no UTF-8, from line 1 on",
		"a: b\nc: \xff\xfe\n":                       "is no UTF-8, from line 2 on",
		"\xff\xfea\x00\x01\x00":                     "control character (0x01)",
		"\x1f\x8b\x08" + strings.Repeat("\x00", 50): "control character (0x1f)",
	} {
		got, err := Text([]byte(content))
		if err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x00") || len(err.Error()) > 100 {
			t.Errorf("%q: %q, %v, want %q", content, got, err, want)
		}
	}
}

// Whatever comes, it is text or refused in a line; text stays what it is.
func FuzzText(f *testing.F) {
	for _, s := range []string{"a: b\n", "\xef\xbb\xbfa", "\xff\xfea\x00", "\xfe\xff\x00a", "a\x00b\x00", "\x00\x01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Text(content)
		if err != nil {
			return
		}
		if again, err := Text(got); err != nil || string(again) != string(got) {
			// Text that begins with a mark, after one that was taken off, is the exception.
			if !strings.HasPrefix(string(got), "\ufeff") {
				t.Errorf("%q is read as %q, and that as %q, %v", content, got, again, err)
			}
		}
	})
}
