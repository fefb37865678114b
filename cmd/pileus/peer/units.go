package peer

import (
	"fmt"
	"strings"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/flash"
)

func bytesText(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// bitsPerSecond is 0 for no time.
func bitsPerSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) * 8 / d.Seconds()
}

// summary is what came through, and how fast.
func summary(tags, bytes uint64, d time.Duration) string {
	return fmt.Sprintf("%s, %s in %s, %s", count(tags, "tag"), bytesText(bytes), spell(d.Round(time.Millisecond)), rateText(bitsPerSecond(bytes, d)))
}

func rateText(bps float64) string {
	switch {
	case bps >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", bps/1e6)
	case bps >= 1e3:
		return fmt.Sprintf("%.0f kbit/s", bps/1e3)
	}
	return fmt.Sprintf("%.0f bit/s", bps)
}

// rttText is a session's round trip. It is measured in steps of 4 ms.
func rttText(s *rtmfp.Session) string {
	if s.RTT() < 4*time.Millisecond {
		return "RTT under 4 ms"
	}
	return fmt.Sprintf("RTT %d ms", s.RTT().Milliseconds())
}

// short is enough of an ID to tell peers apart.
func short(id flash.PeerID) string { return id.String()[:16] + "…" }

func count(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// quote makes one word of s for a shell.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,[]"
	if s != "" && strings.Trim(s, plain) == "" && !strings.ContainsAny(s, "[]") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
