// Package configs is the configuration file of a pileus node: its schema, its
// defaults, a strict loader and the checks on its values.
//
// The schema lives here and nowhere else: no other package sees the file
// format. pileus.yaml, in this folder, is the manual of every key.
package configs

import (
	"net/netip"
	"time"
)

// Config is everything a node can be told. Default gives the values in force
// when nothing is said; the zero Config is not valid.
type Config struct {
	Listen     []Listen                  `yaml:"listen"`
	Hostname   string                    `yaml:"hostname"`
	HMAC       HMAC                      `yaml:"hmac"`
	MaxMessage Size                      `yaml:"max_message"`
	Public     map[netip.Addr]netip.Addr `yaml:"public"`
	Alternate  []netip.Addr              `yaml:"alternate"`
	Probe      Probe                     `yaml:"probe"`
	Relay      Relay                     `yaml:"relay"`
	STUN       STUN                      `yaml:"stun"`
	TURN       TURN                      `yaml:"turn"`
	Limits     Limits                    `yaml:"limits"`
	Tenants    map[string]Tenant         `yaml:"tenants"`
	Presence   Presence                  `yaml:"presence"`
	Introduce  Introduce                 `yaml:"introduce"`
	Hooks      Hooks                     `yaml:"hooks"`
	Cores      Cores                     `yaml:"cores"`
	Admin      Admin                     `yaml:"admin"`
	Log        Log                       `yaml:"log"`

	// set tells where each key that somebody wrote was written.
	set map[string]Origin

	file    string // it was read from
	exposed bool   // to every user of the machine
	// broken are keys whose values could not be read: they have others, of which
	// nothing is to be said.
	broken map[string]bool
}

// Probe is native probing of what NAT a client is behind.
type Probe struct {
	Ports         PortRange `yaml:"ports"`
	Rate          Rate      `yaml:"rate"`           // packets, whole node
	FindAlternate bool      `yaml:"find_alternate"` // where none is named
}

// Relay is the splice relay.
type Relay struct {
	Ports        PortRange      `yaml:"ports"`
	Extra        []Port         `yaml:"extra"`
	Idle         time.Duration  `yaml:"idle"`
	MaxLifetime  time.Duration  `yaml:"max_lifetime"` // 0: none
	AllowPrivate bool           `yaml:"allow_private"`
	AllowOnLink  []netip.Prefix `yaml:"allow_onlink"` // of the machine's own subnets
}

// STUN is the RFC 5780 responder.
type STUN struct {
	Ports []Port `yaml:"ports"`
}

// TURN is the RFC 8656 relay for clients that speak it.
type TURN struct {
	Listen  []Listen          `yaml:"listen"`
	TLS     TURNTLS           `yaml:"tls"`
	Ports   PortRange         `yaml:"ports"`
	Users   map[string]string `yaml:"users"` // name to password
	Secrets []string          `yaml:"secrets"`
	// Alternates are other nodes, at the same ports, for clients that come while
	// this one drains.
	Alternates []netip.Addr `yaml:"alternates"`
}

// TURNTLS is TURN over TLS. Cert and Key are file names; both empty: no TLS.
type TURNTLS struct {
	Listen []Listen `yaml:"listen"`
	Cert   string   `yaml:"cert"`
	Key    string   `yaml:"key"`
}

// Limits are the bounds an operator may move. 0 means none where a bit rate is
// asked.
type Limits struct {
	Splice BitRate `yaml:"splice"` // per pair and direction
	Peer   BitRate `yaml:"peer"`   // per peer and direction
	Tenant BitRate `yaml:"tenant"` // per tenant and direction
	Node   BitRate `yaml:"node"`   // whole node, per direction

	Splices     RelayQuota `yaml:"splices"`
	Allocations RelayQuota `yaml:"allocations"` // of TURN
	BytesPerDay DayQuota   `yaml:"bytes_per_day"`

	Memory   Memory `yaml:"memory"`   // held for all sessions
	Sessions int    `yaml:"sessions"` // at once; 0: any number
	Share    Shares `yaml:"share"`    // of both
	Unread   Size   `yaml:"unread"`   // that waits for one client; 0: no limit

	HandshakesPerPrefix  Rate `yaml:"handshakes_per_prefix"` // sessions opened, per /24 or /56; 0: any number
	AnswersPerPrefix     Rate `yaml:"answers_per_prefix"`    // of STUN, and of TURN, per /24 or /56; 0: any number
	PendingIntroductions int  `yaml:"pending_introductions"` // per initiator

	// What clients have at the node, at once; 0: any number.
	Introductions          int  `yaml:"introductions"`            // repeated and watched
	IntroductionsPerTarget Rate `yaml:"introductions_per_target"` // asked for
	Strangers              Rate `yaml:"strangers"`                // IHellos of those without a session
	Names                  int  `yaml:"names"`                    // of each tenant
	Watches                int  `yaml:"watches"`                  // of names, of each tenant
	Follows                int  `yaml:"follows"`                  // of peers
	Memberships            int  `yaml:"memberships"`              // in NetGroups
	Questions              int  `yaml:"questions"`                // to the core server
	Broadcasts             int  `yaml:"broadcasts"`               // on their way

	Message  Size         `yaml:"message"` // between clients, as written out; 0: max_message
	Messages MessageRates `yaml:"messages"`
}

// RelayQuota bounds how many relayed pairs may be open at once. 0: no bound.
type RelayQuota struct {
	Peer   PeerQuota `yaml:"peer"`
	Prefix int       `yaml:"prefix"` // per /24 or /56
	Total  int       `yaml:"total"`
}

// DayQuota bounds what may be relayed in a UTC day. 0: no bound.
type DayQuota struct {
	Peer   Size `yaml:"peer"` // sent and received
	Tenant Size `yaml:"tenant"`
}

// Presence is the directory of names. NameArg is which optional argument of
// connect carries a peer's name, counted from 1; 0: none does.
type Presence struct {
	NameArg int `yaml:"name_arg"`
}

// Introduce sets who may ask for an introduction.
type Introduce struct {
	Anonymous bool `yaml:"anonymous"` // also those who hold no session
}

// Admin is the HTTP listener for operators. A zero Listen: no listener.
type Admin struct {
	Listen   AdminListen `yaml:"listen"`
	Token    string      `yaml:"token"`
	TLS      AdminTLS    `yaml:"tls"`
	Insecure bool        `yaml:"insecure"` // beyond loopback without TLS
	Hosts    []string    `yaml:"hosts"`    // further names it is called by
}

// Log sets what the log says and how.
type Log struct {
	Level     LogLevel     `yaml:"level"`
	Format    LogFormat    `yaml:"format"`
	Addresses LogAddresses `yaml:"addresses"`
}

// Default returns the configuration of a node that was told nothing. Each call
// returns a value of its own.
func Default() *Config {
	return &Config{
		Listen:     []Listen{ListenPort(1935)},
		HMAC:       HMACOffer,
		MaxMessage: 64 << 10,
		Public:     map[netip.Addr]netip.Addr{},
		Alternate:  []netip.Addr{},
		Probe:      Probe{Ports: PortRange{1936, 1943}, Rate: 2000, FindAlternate: true},
		Relay: Relay{
			Ports: PortRange{20000, 20999},
			Extra: []Port{443},
			Idle:  time.Minute,

			AllowOnLink: []netip.Prefix{},
		},
		STUN: STUN{Ports: []Port{3478, 3479}},
		TURN: TURN{
			Listen:  []Listen{ListenPort(3478)},
			TLS:     TURNTLS{Listen: []Listen{ListenPort(5349)}},
			Ports:   PortRange{49152, 65535},
			Users:   map[string]string{},
			Secrets: []string{}, Alternates: []netip.Addr{},
		},
		Limits: Limits{
			Splices:             RelayQuota{Peer: 64, Prefix: 512},
			Allocations:         RelayQuota{Peer: PeerShare, Prefix: 512},
			Memory:              Memory{Part: 25},
			Share:               Shares{Peer: 1, Target: 25, Prefix: 10, Wide: 50},
			Unread:              128 << 10,
			HandshakesPerPrefix: 20, AnswersPerPrefix: 1000, PendingIntroductions: 32,
			Introductions: 8192, IntroductionsPerTarget: 500, Strangers: 10_000,
			Names: 65_536, Watches: 262_144, Follows: 262_144, Memberships: 262_144,
			Questions: 8192, Broadcasts: 256,
			Message:  16 << 10,
			Messages: MessageRates{Sender: 4e6, Receiver: 4e6, Node: 100e6},
		},
		Tenants: map[string]Tenant{},
		Hooks: Hooks{
			Ask:      []HookAsk{AskConnect, AskIntroduce},
			Tell:     []HookTell{TellConnect, TellClassified, TellIntroduced, TellRelayed, TellClosed},
			Timeout:  2 * time.Second,
			WhenDown: WhenDownDeny,
			Verdict:  time.Minute,
			Queue:    10_000,
		},
		Cores: Cores{Keys: map[string]string{}},
		Admin: Admin{Listen: AdminListen{netip.MustParseAddrPort("127.0.0.1:8935")}, Hosts: []string{}},
		Log:   Log{Level: LevelInfo, Format: FormatText, Addresses: AddressesFull},
	}
}

// Origin is where a key was given its value: a file and line, or a flag.
type Origin struct {
	File string // empty: a flag
	Line int
	Flag string
}

// Origin tells who wrote the key, which is named by its path ("relay.ports").
// ok is false if nobody did and the default is in force.
func (c *Config) Origin(key string) (o Origin, ok bool) {
	o, ok = c.set[key]
	return o, ok
}

// SetBroken records that what key was given cannot be read.
func (c *Config) SetBroken(key string) {
	if c.broken == nil {
		c.broken = make(map[string]bool)
	}
	c.broken[key] = true
}

// SetOrigin records that key was given its value by o. A caller that overrides
// a field says so here: a port somebody asked for is treated differently from
// a default one.
func (c *Config) SetOrigin(key string, o Origin) {
	if c.set == nil {
		c.set = make(map[string]Origin)
	}
	c.set[key] = o
}
