package configs

import (
	"fmt"
	"log/slog"
	"strings"
)

// HMAC says how sessions authenticate their packets.
type HMAC string

const (
	HMACOffer   HMAC = "offer"   // whatever the far end can do, HMAC if it can
	HMACRequire HMAC = "require" // refuse who cannot
)

func (h *HMAC) UnmarshalText(text []byte) error {
	return parseEnum(h, string(text), HMACOffer, HMACRequire)
}

// LogLevel is the least severe level that is logged.
type LogLevel string

const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

func (l *LogLevel) UnmarshalText(text []byte) error {
	return parseEnum(l, string(text), LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// Slog is the same level in log/slog's terms.
func (l LogLevel) Slog() slog.Level {
	switch l {
	case LevelDebug:
		return slog.LevelDebug
	case LevelWarn:
		return slog.LevelWarn
	case LevelError:
		return slog.LevelError
	case LevelInfo:
	}
	return slog.LevelInfo
}

// LogFormat is how log lines are written.
type LogFormat string

const (
	FormatText LogFormat = "text"
	FormatJSON LogFormat = "json"
)

func (f *LogFormat) UnmarshalText(text []byte) error {
	return parseEnum(f, string(text), FormatText, FormatJSON)
}

// LogAddresses is how much of a peer's address the log shows.
type LogAddresses string

const (
	AddressesFull   LogAddresses = "full"
	AddressesPrefix LogAddresses = "prefix" // the /24 or /56
	AddressesNone   LogAddresses = "none"
)

func (a *LogAddresses) UnmarshalText(text []byte) error {
	return parseEnum(a, string(text), AddressesFull, AddressesPrefix, AddressesNone)
}

func parseEnum[T ~string](dst *T, text string, values ...T) error {
	var names []string
	for _, v := range values {
		if string(v) == text {
			*dst = v
			return nil
		}
		names = append(names, string(v))
	}
	err := wrong(text, "one of "+strings.Join(names, ", "))
	if near := closest(text, names); near != "" {
		err = fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return err
}
