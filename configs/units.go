package configs

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written with a unit: 800B, 64KiB, 2MiB, 1GiB, 1TiB, or
// 64kB, 2MB, 5GB and 1TB for powers of ten.
type Size int64

// BitRate is in bits per second: 800bit, 500kbit, 2mbit, 1gbit (powers of
// ten). 0: no limit.
type BitRate int64

// Rate is a number of events per second: 2000/s.
type Rate int

// PeerQuota is how many of something one peer may have at once: a number, 0 for any, or
// share: any while half of all is free, then an equal part.
type PeerQuota int

// PeerShare is written share.
const PeerShare PeerQuota = -1

func (q *PeerQuota) UnmarshalText(text []byte) error {
	if string(text) == "share" {
		*q = PeerShare
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil {
		return wrong(string(text), "a whole number, or share")
	}
	*q = PeerQuota(n)
	return nil
}

func (q PeerQuota) String() string {
	if q == PeerShare {
		return "share"
	}
	return strconv.Itoa(int(q))
}

type unit struct {
	suffix string
	factor int64
}

// The largest unit that divides a value is the one it is printed with, so each
// list goes from large to small.
var (
	sizeUnits = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}
	bitUnits  = []unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
	rateUnits = []unit{{"/s", 1}}
)

func (s *Size) UnmarshalText(text []byte) error {
	return parseUnit((*int64)(s), string(text), sizeUnits, "a size such as 64KiB")
}

func (s Size) String() string { return formatUnit(int64(s), sizeUnits) }

func (r *BitRate) UnmarshalText(text []byte) error {
	return parseUnit((*int64)(r), string(text), bitUnits, "a bit rate such as 2mbit, 500kbit or 0 for none")
}

func (r BitRate) String() string { return formatUnit(int64(r), bitUnits) }

func (r *Rate) UnmarshalText(text []byte) error {
	const want = "a rate such as 20/s"
	var n int64
	if err := parseUnit(&n, string(text), rateUnits, want); err != nil {
		return err
	}
	if n > math.MaxInt32 {
		return wrong(string(text), want)
	}
	*r = Rate(n)
	return nil
}

func (r Rate) String() string { return formatUnit(int64(r), rateUnits) }

// parseUnit reads a whole number and one of units. Only 0 may go without.
func parseUnit(dst *int64, text string, units []unit, want string) error {
	if text == "0" {
		*dst = 0
		return nil
	}
	digits := strings.TrimRight(text, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	suffix := text[len(digits):]
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
	if err != nil {
		return wrong(text, want)
	}
	if suffix == "" {
		return wrong(text, want+": the unit is missing")
	}
	for _, u := range units {
		if u.suffix != suffix {
			continue
		}
		if int64(n) > math.MaxInt64/u.factor {
			return wrong(text, want+": too large")
		}
		*dst = int64(n) * u.factor
		return nil
	}
	var names []string
	for _, u := range units {
		names = append(names, u.suffix)
	}
	return wrong(text, fmt.Sprintf("%s: %q is not one of its units %s", want, suffix, strings.Join(names, ", ")))
}

func formatUnit(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	for _, u := range units {
		if n%u.factor == 0 {
			return strconv.FormatInt(n/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseDuration is time.ParseDuration without signs.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || strings.HasPrefix(text, "+") {
		want := "a duration such as 60s, 250ms or 2h"
		if _, err := strconv.Atoi(text); err == nil {
			want += ": the unit is missing"
		}
		return 0, wrong(text, want)
	}
	return d, nil
}

// wrong says what a value is and what it should have been.
func wrong(text, want string) error {
	return fmt.Errorf("%q is not %s", text, cmp.Or(want, "valid"))
}
