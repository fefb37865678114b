package netconn

import (
	"errors"
	"strings"

	"pileus/rtmfp/amf"
)

// Command is a command message: a call to the far end or the answer to one.
type Command struct {
	Name string

	// Transaction is 0 if no answer is wanted. An answer carries that of its
	// call.
	Transaction float64

	// Object is the third value: the properties in a connect, Null in most
	// others. Some clients leave it out of commands that do not need it.
	Object amf.Value

	Args amf.Args // what follows

	// Size is how many bytes of message it came in; 0: it did not come from anybody.
	Size int
}

// Given is what the command is given: the values behind its object, and those alone but
// for clients and servers that leave a null out, so that the first value stands there.
func (c Command) Given() amf.Args {
	if len(c.Args) > 0 && isObject(c.Object) || amf.IsNull(c.Object) {
		return c.Args
	}
	return append(amf.Args{c.Object}, c.Args...)
}

func isObject(v amf.Value) bool {
	_, ok := amf.Members(v)
	return ok
}

// ParseCommand reads a command message of type 0x14 or 0x11. Errors are
// ErrFormat, ErrNoCommand and those of package amf.
func ParseCommand(m Message) (Command, error) {
	v, err := m.values()
	if err != nil {
		return Command{}, err
	}
	name, ok := v.String(0)
	if !ok {
		return Command{}, ErrNoCommand
	}
	// A missing or mistyped transaction ID asks for no answer.
	transaction, _ := v.Number(1)
	return Command{Name: name, Transaction: transaction, Object: v.At(2), Args: v.From(3), Size: headerLen + len(m.Payload)}, nil
}

// Append appends the command as a message of type t, with timestamp 0. Its
// values are encoded in AMF0, which a type 0x11 message of format 0 contains as
// well.
func (c Command) Append(b []byte, t MessageType) []byte {
	b = Message{Type: t}.Append(b)
	if t == TypeCommandExtended {
		b = append(b, 0)
	}
	b = amf.Append(b, amf.String(c.Name), amf.Number(c.Transaction), c.Object)
	return amf.Append(b, c.Args...)
}

// Len is how many bytes the command takes as a message to a client, if that is at most
// limit; else it is any number above it.
func (c Command) Len(limit int) int {
	const selector = 1 // of messages to clients that asked for AMF3
	n := headerLen + selector
	n += amf.Size(limit-n, amf.String(c.Name), amf.Number(c.Transaction), c.Object)
	if n <= limit {
		n += amf.Size(limit-n, c.Args...)
	}
	return n
}

// Encoded is a command for many connections, encoded once.
type Encoded struct{ extended, plain []byte }

// Encode encodes a command that wants no answer.
func Encode(name string, args ...amf.Value) *Encoded {
	return &Encoded{extended: Command{Name: name, Args: args}.Append(nil, TypeCommandExtended)}
}

// Len is how many bytes it takes as a message.
func (e *Encoded) Len() int { return len(e.extended) }

// message is what a client gets.
func (e *Encoded) message(t MessageType) []byte {
	if t == TypeCommandExtended {
		return e.extended
	}
	if e.plain == nil {
		e.plain = Message{Type: t, Payload: e.extended[headerLen+1:]}.Append(nil)
	}
	return e.plain
}

// dropReason says which count an error of this file or of amf belongs to.
func dropReason(err error) DropReason {
	switch {
	case errors.Is(err, ErrTruncated):
		return DropTruncated
	case errors.Is(err, ErrFormat):
		return DropFormat
	case errors.Is(err, ErrNoCommand):
		return DropNoCommand
	}
	return DropAMF
}

// notFound is the answer to a command that nobody knows.
func notFound(c Command) Command {
	const most = 64 // bytes of the name that go back to its sender
	name := strings.ToValidUTF8(c.Name[:min(len(c.Name), most)], "")
	return Command{
		Name: "_error", Transaction: c.Transaction,
		Args: amf.Args{info(levelError, StatusCallFailed, "Method not found ("+name+").")},
	}
}
