package configs

import "time"

// Tenant is one developer key, or several, and what may be done with them. The
// tenant named "default" is everybody who brings none.
type Tenant struct {
	Keys     []string  `yaml:"keys"`      // first part of the path: rtmfp://host/KEY/app
	Closed   bool      `yaml:"closed"`    // nobody of it is taken
	Token    TokenRule `yaml:"token"`     // in connect's arguments
	Secret   string    `yaml:"secret"`    // tokens are signed with it
	APIToken string    `yaml:"api_token"` // shows this tenant alone
	Peers    int       `yaml:"peers"`     // at once; 0: any number
	Groups   int       `yaml:"groups"`    // at once; 0: any number

	Bandwidth   BitRate `yaml:"bandwidth"`     // of all its relayed pairs, per direction; 0: limits.tenant
	Splices     int     `yaml:"splices"`       // relayed pairs at once; 0: any number
	BytesPerDay Size    `yaml:"bytes_per_day"` // relayed; 0: limits.bytes_per_day.tenant
}

// DefaultTenant is a tenant of whom nothing is said.
func DefaultTenant() Tenant { return Tenant{Keys: []string{}, Token: TokenNone} }

// TokenRule says whether connect needs a token.
type TokenRule string

const (
	TokenNone    TokenRule = "none"    // an argument that looks like one is an argument
	TokenRequire TokenRule = "require" // the first argument of connect is one
)

func (r *TokenRule) UnmarshalText(text []byte) error {
	return parseEnum(r, string(text), TokenNone, TokenRequire)
}

// Hooks is a core server that is asked and told over HTTP. No URL: none.
type Hooks struct {
	URL      string        `yaml:"url"`
	Secret   string        `yaml:"secret"`
	Ask      []HookAsk     `yaml:"ask"`
	Tell     []HookTell    `yaml:"tell"`
	Timeout  time.Duration `yaml:"timeout"`
	WhenDown WhenDown      `yaml:"when_down"`
	Verdict  time.Duration `yaml:"verdict"`
	Queue    int           `yaml:"queue"`
}

// HookAsk is a question to the core.
type HookAsk string

// HookTell is an event for the core.
type HookTell string

const (
	AskConnect   HookAsk = "connect"
	AskIntroduce HookAsk = "introduce"

	TellConnect    HookTell = "connect"
	TellClassified HookTell = "classified"
	TellIntroduced HookTell = "introduced"
	TellRevised    HookTell = "revised"
	TellUnknown    HookTell = "unknown-peer"
	TellRelayed    HookTell = "relayed"
	TellClosed     HookTell = "closed"
)

func (a *HookAsk) UnmarshalText(text []byte) error {
	return parseEnum(a, string(text), AskConnect, AskIntroduce)
}

func (t *HookTell) UnmarshalText(text []byte) error {
	return parseEnum(t, string(text), TellConnect, TellClassified, TellIntroduced, TellRevised, TellUnknown, TellRelayed, TellClosed)
}

// WhenDown is the verdict of a core that does not answer.
type WhenDown string

const (
	WhenDownAllow WhenDown = "allow"
	WhenDownDeny  WhenDown = "deny"
)

func (w *WhenDown) UnmarshalText(text []byte) error {
	return parseEnum(w, string(text), WhenDownAllow, WhenDownDeny)
}

// Cores are the core servers behind this node, which register with a key. Any
// key puts the node in front of them.
type Cores struct {
	Keys          map[string]string `yaml:"keys"` // key ID to password
	OtherFamilies bool              `yaml:"other_families"`
}

// AdminTLS is the admin listener over TLS. Cert and Key are file names; both
// empty: no TLS.
type AdminTLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// NeedsClock tells whether something goes by the time of day.
func (c *Config) NeedsClock() bool {
	for _, t := range c.Tenants {
		if t.Token == TokenRequire {
			return true
		}
	}
	return c.Hooks.URL != "" || len(c.TURN.Secrets) > 0
}
