package bench

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"pileus/rtmfp/wire"
)

const (
	optionAncillary = 0x0a // endpoint discriminator: the URI (RFC 7425 section 4.4.2.2)

	// A URI of 35 characters makes an IHello of 68 bytes, the commonest size
	// of Flash's.
	flashURI = "rtmfp://stratus.example.com/abcdefg"

	answerTries = 3
	answerTime  = 300 * time.Millisecond

	reflections = 10_000
	reflectRate = 5_000 // per second
)

// answers sees whether every well-formed IHello gets its RHello, whatever the
// length of URI and tag, and how much larger an RHello is.
func (l *load) answers() ([]Value, error) {
	type question struct {
		epd, tag []byte
		done     bool
	}
	uris := []string{flashURI, "rtmfp://h/a", "rtmfp:", "live", "a", strings.Repeat("long/", 80)}
	tagLens := []int{16, 17, 24, 64}
	questions := make([]question, 0, len(uris)*len(tagLens))
	for _, uri := range uris {
		for _, tagLen := range tagLens {
			tag := bytes.Repeat([]byte{byte(tagLen)}, tagLen)
			copy(tag, l.keys.run[:])
			questions = append(questions, question{epd: wire.AppendOption(nil, optionAncillary, []byte(uri)), tag: tag})
		}
	}
	var ratio float64
	answered := 0
	l.onStray = func(source int, datagram []byte) {
		i := source - floodFirst
		chunks, ok := l.startup(datagram)
		if i < 0 || i >= len(questions) || !ok {
			return
		}
		q := &questions[i]
		typ, body, _, ok := wire.NextChunk(chunks)
		c, err := wire.ParseRHello(body)
		if !ok || typ != wire.ChunkRHello || err != nil || !bytes.Equal(c.Tag, q.tag) || q.done {
			return
		}
		q.done = true
		answered++
		if i == 0 {
			ratio = float64(len(datagram)) / float64(len(l.hello(q.epd, q.tag)))
		}
	}
	defer func() { l.onStray = nil }()
	for range answerTries {
		for i, q := range questions {
			if !q.done {
				l.send(floodFirst+i, l.hello(q.epd, q.tag))
			}
		}
		if err := l.sleep(answerTime); err != nil {
			return nil, err
		}
	}
	if answered == 0 {
		return nil, errors.New("no IHello was answered as it should be")
	}
	return []Value{
		{"answered", percent(answered, len(questions)), "%"},
		{"size-ratio", ratio, "out/in"},
	}, nil
}

// reflection sends many short IHellos from one address, as somebody would who
// forges that address to have answers sent to it.
func (l *load) reflection() ([]Value, error) {
	var values []Value
	for i, form := range []struct {
		name string
		uri  string
		tag  int
	}{
		{"smallest", "a", 6},              // 20 bytes
		{"short", "rtmfp://host/app", 16}, // 52 bytes
	} {
		source := floodFirst + floodPeers + i
		received := 0
		l.onStray = func(_ int, datagram []byte) { received += len(datagram) }
		epd := wire.AppendOption(nil, optionAncillary, []byte(form.uri))
		p := pace{start: time.Now(), perSecond: reflectRate}
		before := l.bytesOut
		if err := l.run(time.Minute, func() (time.Time, bool) {
			for p.sent < reflections && p.due(l.now) > 0 {
				// Without a timestamp, to be as small as it can be.
				b := wire.Header{Mode: wire.ModeStartup}.Append(l.sealer.Begin(l.out[:0]))
				b = wire.IHello{EPD: epd, Tag: l.keys.seed()[:form.tag]}.Append(b)
				l.send(source, l.sealer.Finish(b, wire.SessionID{}))
				p.sent++
			}
			return p.next(), p.sent == reflections
		}); err != nil {
			return nil, err
		}
		if err := l.sleep(answerTime); err != nil {
			return nil, err
		}
		l.onStray = nil
		values = append(values, Value{form.name, float64(received) / float64(l.bytesOut-before), "out/in"})
	}
	return values, nil
}
