package configs

import (
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// The library takes the first colon of a word in braces for the end of a key: of
// {alternates: [fd00::2]} it reads a list of {fd00: ":2"}, and for {fd00::1: x} that
// fd00 has the value ":1: x". YAML has it otherwise (1.2.2, 7.3.3): a colon ends a key
// only before a space. Here that matters for addresses of IPv6, so it is put right for
// these alone: {x:1} stays what it was.

// address is what may be one, or an address and port or a network: two colons at least.
var address = regexp.MustCompile(`^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]+)?`)

// mendFlow joins what the lexer has cut.
func mendFlow(in token.Tokens) token.Tokens {
	out := make(token.Tokens, 0, len(in))
	depth, joined := 0, false
	for i := 0; i < len(in); i++ {
		t := in[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		default:
		}
		if depth == 0 || t.Type != token.MappingValueType || i+1 == len(in) || !plainToken(in[i+1]) || spaced(in[i+1].Origin) {
			out = append(out, t)
			continue
		}
		text, first := t.Value+strings.TrimRight(in[i+1].Origin, " "), t
		if n := len(out); n > 0 && plainToken(out[n-1]) && strings.TrimRight(out[n-1].Origin, " \n") == out[n-1].Origin {
			text, first = out[n-1].Value+text, out[n-1]
		}
		word := address.FindString(text)
		key := strings.HasSuffix(word, ":") && strings.HasPrefix(text[len(word):], " ")
		rest := text[len(word):]
		if key {
			word = word[:len(word)-1]
		} else if after, ok := strings.CutPrefix(strings.TrimLeft(rest, " "), ": "); ok && rest != "" {
			key, rest = true, after
		}
		if !strings.Contains(word, ":") || rest != "" && !key {
			out = append(out, t)
			continue
		}
		if first != t {
			out = out[:len(out)-1]
		}
		joined = true
		i++
		out = append(out, token.String(word, word, first.Position))
		if key {
			value := strings.TrimSpace(rest)
			out = append(out, token.MappingValue(t.Position), token.String(value, " "+value, in[i].Position))
		}
	}
	if !joined {
		return in
	}
	linked := token.Tokens{}
	linked.Add(out...)
	return linked
}

// plainToken tells whether a token is a word without quotes.
func plainToken(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
		return true
	default:
		return false
	}
}

func spaced(origin string) bool { return strings.TrimLeft(origin, " \n\r\t") != origin }
