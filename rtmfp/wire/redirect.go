package wire

import "iter"

// Redirect names addresses at which the endpoint that an IHello asked for may be
// found (section 2.3.5). Mode 3, session ID 0. An empty AddressList is an Implied
// Redirect: the address is the one the packet came from.
type Redirect struct {
	Tag         []byte // from the IHello
	AddressList []byte // encoded addresses, for Addresses
}

// ParseRedirect reads the payload of a Redirect chunk. It refuses a list that
// holds anything but whole addresses: a syntax error voids the chunk.
func ParseRedirect(body []byte) (c Redirect, err error) {
	c.Tag, c.AddressList, err = parseSized(body)
	if err != nil {
		return Redirect{}, err
	}
	for list := c.AddressList; len(list) > 0; {
		if _, list, err = ParseAddress(list); err != nil {
			return Redirect{}, err
		}
	}
	return c, nil
}

// Addresses yields the addresses of AddressList in order, up to the first that is
// truncated.
func (c Redirect) Addresses() iter.Seq[Address] {
	list := c.AddressList
	return func(yield func(Address) bool) { eachAddress(list, yield) }
}

func eachAddress(list []byte, yield func(Address) bool) {
	for len(list) > 0 {
		a, rest, err := ParseAddress(list)
		if err != nil || !yield(a) {
			return
		}
		list = rest
	}
}

// Append appends the whole chunk.
func (c Redirect) Append(b []byte) []byte {
	start := len(b)
	b = beginChunk(b, ChunkRedirect)
	b = appendSized(b, c.Tag)
	b = append(b, c.AddressList...)
	return endChunk(b, start)
}

// AppendRedirect appends a whole Redirect chunk that names addrs; with none, an
// Implied Redirect.
func AppendRedirect(b, tag []byte, addrs []Address) []byte {
	start := len(b)
	b = beginChunk(b, ChunkRedirect)
	b = appendSized(b, tag)
	for _, a := range addrs {
		b = a.Append(b)
	}
	return endChunk(b, start)
}
