package main

import (
	"io"
	"log/slog"
	"net/netip"

	"pileus/configs"
	"pileus/rtmfp/udp"
)

// newLogger writes what l asks for to w. Values that are addresses are shown
// as l.Addresses says, so they must be logged as netip values, never as text.
// The level may be changed later.
func newLogger(w io.Writer, l configs.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(l.Level.Slog())
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: hideAddresses(l.Addresses)}
	if l.Format == configs.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o)), level
	}
	return slog.New(slog.NewTextHandler(w, o)), level
}

func discardLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

func hideAddresses(how configs.LogAddresses) func([]string, slog.Attr) slog.Attr {
	if how == configs.AddressesFull {
		return nil
	}
	hide := func(a netip.Addr) slog.Value {
		if how == configs.AddressesNone || !a.IsValid() {
			return slog.StringValue("-")
		}
		return slog.StringValue(udp.Prefix(a).String())
	}
	return func(_ []string, attr slog.Attr) slog.Attr {
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
}
