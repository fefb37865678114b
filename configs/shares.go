package configs

import (
	"strconv"
	"strings"
)

// Percent is a part of a whole: 10%. 0: none.
type Percent int

func (p *Percent) UnmarshalText(text []byte) error {
	const want = "a percentage such as 10%, or 0 for none"
	s := string(text)
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(digits, 10, 8)
	if !ok && s != "0" || err != nil || n > 100 {
		return wrong(s, want)
	}
	*p = Percent(n)
	return nil
}

func (p Percent) String() string {
	if p == 0 {
		return "0"
	}
	return strconv.Itoa(int(p)) + "%"
}

// Memory is a size, or a part of what there is: 256MiB or 25%. 0: no limit.
type Memory struct {
	Bytes Size
	Part  Percent // of what there is, if Bytes is 0
}

func (m *Memory) UnmarshalText(text []byte) error {
	if strings.HasSuffix(string(text), "%") {
		m.Bytes = 0
		return m.Part.UnmarshalText(text)
	}
	m.Part = 0
	if m.Bytes.UnmarshalText(text) != nil {
		return wrong(string(text), "a size such as 256MiB, a part such as 25%, or 0 for no limit")
	}
	return nil
}

func (m Memory) String() string {
	if m.Part > 0 {
		return m.Part.String()
	}
	return m.Bytes.String()
}

// Of is the limit in bytes where so many are available.
func (m Memory) Of(available int64) int64 {
	if m.Part > 0 {
		return available / 100 * int64(m.Part)
	}
	return int64(m.Bytes)
}

// Shares are what those of one prefix may have of what all share, once more than half of
// it is in use. 0: any part.
type Shares struct {
	Peer   Percent `yaml:"peer"`   // one client, of what clients have at the node
	Target Percent `yaml:"target"` // those who want to meet one peer, of introductions
	Prefix Percent `yaml:"prefix"` // /24 or /56
	Wide   Percent `yaml:"wide"`   // /16 or /32
}

// MessageRates bound the messages between clients that go through the node, in IP packets.
// 0: no limit.
type MessageRates struct {
	Sender   BitRate `yaml:"sender"`   // that one client makes the node send
	Receiver BitRate `yaml:"receiver"` // that others make the node send one client
	Node     BitRate `yaml:"node"`
}

func (v *validator) shares() {
	l := &v.config.Limits
	v.check(l.Memory.Part > 0 || l.Memory.Bytes == 0 || l.Memory.Bytes >= minMemory,
		"limits.memory", "%v is less than %v, which some clients take", l.Memory, Size(minMemory))
	v.check(l.Sessions >= 0, "limits.sessions", "%d is below 0, which is any number", l.Sessions)
	v.check(l.Share.Wide == 0 || l.Share.Prefix <= l.Share.Wide, "limits.share",
		"prefix, %v, is more than wide, %v, which it is part of", l.Share.Prefix, l.Share.Wide)
	v.check(l.Share.Prefix == 0 || l.Share.Peer <= l.Share.Prefix, "limits.share",
		"peer, %v, is more than prefix, %v, which it is part of", l.Share.Peer, l.Share.Prefix)
	for key, n := range map[string]int{
		"introductions": l.Introductions, "names": l.Names, "watches": l.Watches, "follows": l.Follows,
		"memberships": l.Memberships, "broadcasts": l.Broadcasts, "questions": l.Questions,
	} {
		v.check(n >= 0 && n <= maxKept, "limits."+key, "%d is not between 0, which is any number, and %d", n, maxKept)
	}
	v.check(l.Message == 0 || l.Message >= minMessage && l.Message <= maxMessage,
		"limits.message", "%v is not between %v and %v, nor 0", l.Message, Size(minMessage), Size(maxMessage))
	v.check(l.Unread == 0 || l.Unread >= minUnread && l.Unread <= maxUnread,
		"limits.unread", "%v is not between %v and %v, nor 0", l.Unread, Size(minUnread), Size(maxUnread))
}

const (
	minMemory = 8 << 20  // bytes: a thousand sessions
	minUnread = 16 << 10 // bytes: what a client is told in a burst
	maxUnread = 64 << 20 // bytes: for each client
	maxKept   = 1 << 30  // of anything that clients have at the node
)
