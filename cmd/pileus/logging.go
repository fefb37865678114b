package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// logSettings are how a logger writes. They may change while it does.
type logSettings struct {
	level slog.LevelVar
	how   atomic.Pointer[configs.Log]
	lost  func() (full, failed uint64) // lines; nil: none are
}

func (s *logSettings) set(l configs.Log) { s.how.Store(&l) }

// newLogger writes what l asks for to w. Values that are addresses are shown
// as l.Addresses says, so they must be logged as netip values, never as text.
func newLogger(w io.Writer, l configs.Log) (*slog.Logger, *logSettings) {
	s := new(logSettings)
	s.level.Set(l.Level.Slog())
	s.set(l)
	o := &slog.HandlerOptions{Level: &s.level, ReplaceAttr: s.hideAddresses}
	to := func(w io.Writer) *slog.Logger {
		return slog.New(eitherFormat{s, slog.NewTextHandler(w, o), slog.NewJSONHandler(w, o)})
	}
	if out, ok := w.(*outlet); ok {
		s.lost = out.lost
		out.describeBy(func(missing uint64) []byte {
			var line bytes.Buffer
			to(&line).Error("log lines are missing here: they found no reader in time, or no room", "lines", missing)
			return line.Bytes()
		})
	}
	return to(w), s
}

// eitherFormat hands records to the handler of the format that is in force.
type eitherFormat struct {
	settings   *logSettings
	text, json slog.Handler
}

func (f eitherFormat) Enabled(_ context.Context, l slog.Level) bool {
	return l >= f.settings.level.Level()
}

func (f eitherFormat) Handle(ctx context.Context, r slog.Record) error {
	if f.settings.how.Load().Format == configs.FormatJSON {
		return f.json.Handle(ctx, r)
	}
	return f.text.Handle(ctx, r)
}

func (f eitherFormat) WithAttrs(a []slog.Attr) slog.Handler {
	return eitherFormat{f.settings, f.text.WithAttrs(a), f.json.WithAttrs(a)}
}

func (f eitherFormat) WithGroup(name string) slog.Handler {
	return eitherFormat{f.settings, f.text.WithGroup(name), f.json.WithGroup(name)}
}

func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (s *logSettings) hideAddresses(_ []string, attr slog.Attr) slog.Attr {
	how := s.how.Load().Addresses
	if how == configs.AddressesFull {
		return attr
	}
	hide := func(a netip.Addr) slog.Value {
		if how == configs.AddressesNone || !a.IsValid() {
			return slog.StringValue("-")
		}
		return slog.StringValue(udp.Prefix(a).String())
	}
	switch v := attr.Value.Any().(type) {
	case netip.Addr:
		attr.Value = hide(v)
	case netip.AddrPort:
		attr.Value = hide(v.Addr())
	case []netip.Addr, []netip.AddrPort:
		attr.Value = slog.StringValue("-")
	}
	return attr
}
