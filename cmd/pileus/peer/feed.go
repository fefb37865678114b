package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"pileus/cmd/pileus/flv"
	"pileus/rtmfp/flow"
	"pileus/rtmfp/netconn"
)

// source is where tags come from: an flv.Reader or a Pattern.
type source interface {
	Next() (flv.Tag, error)
}

// messageHeader is the size of what goes before a tag's data in a message.
const messageHeader = 5

// feed brings what is to be published, on a goroutine of its own, since reading
// may block for ever.
func (p *publisher) feed() {
	err := p.feedAll(p.r.stopping)
	if errors.Is(err, netconn.ErrClosed) || errors.Is(err, context.Canceled) {
		return
	}
	p.r.do(func() { p.ended(err) })
}

func (p *publisher) feedAll(ctx context.Context) error {
	c := &p.r.cfg
	var media source
	var tag flv.Tag
	var err error
	switch {
	case c.Pattern:
		media = NewPattern()
	case c.Input != nil:
		media = flv.NewReader(c.Input, c.MaxMessage-messageHeader)
	}
	if media != nil {
		// What is no media is better told before anybody comes.
		if tag, err = media.Next(); err != nil {
			return inputError(err, true)
		}
	}
	select {
	case <-p.begin:
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, t := range c.Texts {
		if err := p.send(ctx, func() error { return p.writeText(t) }); err != nil {
			return err
		}
	}
	if media == nil {
		return nil
	}
	var pace pacer
	for err == nil {
		if err := wait(ctx, pace.due(time.Now(), tag.Timestamp)); err != nil {
			return err
		}
		if err := p.sendTag(ctx, tag); err != nil {
			return err
		}
		tag, err = media.Next()
	}
	return inputError(err, false)
}

func (p *publisher) sendTag(ctx context.Context, t flv.Tag) error {
	m := netconn.Message{Type: netconn.MessageType(t.Type), Timestamp: t.Timestamp, Payload: t.Data}
	switch m.Type {
	case netconn.TypeAudio, netconn.TypeVideo, netconn.TypeData, netconn.TypeDataExtended:
		return p.send(ctx, func() error { return p.write(m) })
	default:
		p.r.do(func() { p.skipped++ })
		return nil
	}
}

// send has write called on the engine's goroutine until there is room.
func (p *publisher) send(ctx context.Context, write func() error) error {
	for {
		err := netconn.ErrClosed
		p.r.do(func() { err = write() })
		if !errors.Is(err, flow.ErrFull) {
			return err
		}
		select {
		case <-p.writable:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func wait(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// inputError says what is wrong with what is read; nil at its end.
func inputError(err error, first bool) error {
	var large *flv.TooLargeError
	switch {
	case errors.Is(err, io.EOF) && !first:
		return nil
	case errors.Is(err, io.EOF):
		return errors.New("the FLV to publish has no tags")
	case errors.Is(err, io.ErrUnexpectedEOF) && first:
		return errors.New("what is to be published ends before its first tag")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the FLV to publish ends in the middle of a tag")
	case errors.Is(err, flv.ErrFormat):
		return errors.New("what is to be published is not FLV")
	case errors.As(err, &large):
		return fmt.Errorf("a tag of %d bytes exceeds the limit of %d (--max-message, here and at who plays)", large.Size, large.Limit)
	}
	return fmt.Errorf("cannot read what is to be published: %w", err)
}
