package natprobe

import (
	"fmt"
	"slices"
)

var (
	answerNames     = []string{"unknown", "no", "yes"}
	mappingNames    = []string{"unknown", "EIM", "ADM", "APDM", "ADM or APDM", "EIM or ADM"}
	filteringNames  = []string{"unknown", "EIF", "ADF", "APDF", "ADF or APDF", "EIF or ADF"}
	allocationNames = []string{"unknown", "preserved", "stepping", "random", "ranged"}
	classNames      = []string{
		"unknown", "public", "firewall", "full-cone", "address-restricted", "port-restricted",
		"symmetric-random", "symmetric-stepping", "symmetric-open-filter", "blocked", "silent",
	}
	legacyNames = []string{
		"unknown", "open internet", "symmetric UDP firewall", "full cone NAT", "address-restricted cone NAT",
		"port-restricted cone NAT (home router)", "symmetric NAT, random ports", "symmetric NAT, ports in sequence",
		"symmetric NAT, open filter", "UDP blocked towards most ports", "does not answer introductions",
	}
)

func (a Answer) String() string     { return name(answerNames, a) }
func (m Mapping) String() string    { return name(mappingNames, m) }
func (f Filtering) String() string  { return name(filteringNames, f) }
func (a Allocation) String() string { return name(allocationNames, a) }

// String returns the short name, one word for logs and metrics.
func (c Class) String() string { return name(classNames, c) }

// LegacyName returns what RFC 3489 and router manuals call it, for people.
func (c Class) LegacyName() string { return name(legacyNames, c) }

// Classes returns every class in order, ClassUnknown first.
func Classes() []Class {
	all := make([]Class, len(classNames))
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

func (a Answer) MarshalText() ([]byte, error)     { return []byte(a.String()), nil }
func (m Mapping) MarshalText() ([]byte, error)    { return []byte(m.String()), nil }
func (f Filtering) MarshalText() ([]byte, error)  { return []byte(f.String()), nil }
func (a Allocation) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
func (c Class) MarshalText() ([]byte, error)      { return []byte(c.String()), nil }

func (a *Answer) UnmarshalText(b []byte) error     { return parse(answerNames, a, b) }
func (m *Mapping) UnmarshalText(b []byte) error    { return parse(mappingNames, m, b) }
func (f *Filtering) UnmarshalText(b []byte) error  { return parse(filteringNames, f, b) }
func (a *Allocation) UnmarshalText(b []byte) error { return parse(allocationNames, a, b) }
func (c *Class) UnmarshalText(b []byte) error      { return parse(classNames, c, b) }

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%d", uint8(v))
}

func parse[T ~uint8](names []string, v *T, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("natprobe: %q is none of %q", text, names)
	}
	*v = T(i)
	return nil
}
