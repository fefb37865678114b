package vectors

import (
	"encoding/json"
	"net/netip"
)

// Exchange is one recorded scenario, s01 to s05.
type Exchange struct {
	Schema      string              `json:"schema"`
	Kind        string              `json:"kind"`
	Scenario    string              `json:"scenario"`
	Title       string              `json:"title"`
	Description string              `json:"description"`
	RFCRefs     []string            `json:"rfc_refs"`
	Notes       []string            `json:"notes"`
	Recorded    Recorded            `json:"recorded"`
	Passwords   map[string]string   `json:"passwords"`
	Endpoints   map[string]Endpoint `json:"endpoints"`
	Sessions    []Session           `json:"sessions"`
	Flows       []Flow              `json:"flows"`
	Datagrams   []Datagram          `json:"datagrams"`
	Counts      Counts              `json:"counts"`
}

// Session returns the session with this ID ("S1"), nil if there is none.
func (e *Exchange) Session(id string) *Session {
	for i := range e.Sessions {
		if e.Sessions[i].ID == id {
			return &e.Sessions[i]
		}
	}
	return nil
}

// Recorded tells how a scenario was recorded.
type Recorded struct {
	Source    string             `json:"source"`
	Processes map[string]Process `json:"processes"`
}

// Process is one program that took part.
type Process struct {
	Program string            `json:"program"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"instrumentation_env"`
}

// Counts are the totals of an exchange.
type Counts struct {
	Datagrams         int `json:"datagrams"`
	Sessions          int `json:"sessions"`
	ReceivedUnmatched int `json:"received_unmatched"`
	UnpairedKey       int `json:"unpaired_key"`
}

// Option is a decoded option; Marker ones have neither type nor value.
type Option struct {
	Type   uint64 `json:"type"`
	Value  Hex    `json:"value"`
	Marker bool   `json:"marker"`
}

// Endpoint is one RTMFP implementation of an exchange, with its secrets.
type Endpoint struct {
	Addresses            []netip.AddrPort `json:"addresses"`
	Certificate          Hex              `json:"certificate"`
	CertificateOptions   []Option         `json:"certificate_options"`
	Fingerprint          Hex              `json:"fingerprint"`
	StaticDH             bool             `json:"static_dh"`
	AcceptsAncillaryData bool             `json:"accepts_ancillary_data"`
	CookieSecret         Hex              `json:"cookie_secret"`
	DHKeyPairs           []DHKeyPair      `json:"dh_keypairs"`
}

// DHKeyPair is a Diffie-Hellman key pair that an endpoint made.
type DHKeyPair struct {
	Group   int `json:"group"`
	Private Hex `json:"private"`
	Public  Hex `json:"public"`
}

// Session holds the negotiation and keys of a session.
type Session struct {
	ID                 string    `json:"id"`
	Initiator          string    `json:"initiator"`
	Responder          string    `json:"responder"`
	InitiatorSessionID Hex       `json:"initiator_session_id"`
	ResponderSessionID Hex       `json:"responder_session_id"`
	DHGroup            int       `json:"dh_group"`
	InitiatorDH        SessionDH `json:"initiator_dh"`
	ResponderDH        SessionDH `json:"responder_dh"`
	SharedSecret       Hex       `json:"shared_secret"`
	SKIC               Hex       `json:"skic"`
	SKRC               Hex       `json:"skrc"`
	SKICOptions        []Option  `json:"skic_options"`
	SKRCOptions        []Option  `json:"skrc_options"`
	KeyI2R             Hex       `json:"key_i2r"`
	KeyR2I             Hex       `json:"key_r2i"`
	AESI2R             Hex       `json:"aes_i2r"`
	AESR2I             Hex       `json:"aes_r2i"`
	HMACKeyI2R         Hex       `json:"hmac_key_i2r"`
	HMACKeyR2I         Hex       `json:"hmac_key_r2i"`
	HMACLenI2R         int       `json:"hmac_len_i2r"`
	HMACLenR2I         int       `json:"hmac_len_r2i"`
	SSEQI2R            bool      `json:"sseq_i2r"`
	SSEQR2I            bool      `json:"sseq_r2i"`
	NonceInitiator     Hex       `json:"nonce_initiator"`
	NonceResponder     Hex       `json:"nonce_responder"`
}

// SessionDH is one side of a session's key agreement. Mode is "static" or
// "ephemeral".
type SessionDH struct {
	Mode    string `json:"mode"`
	Private Hex    `json:"private"`
	Public  Hex    `json:"public"`
}

// Flow is one sending flow with its messages. Dir is "i2r" or "r2i".
type Flow struct {
	Session           string    `json:"session"`
	Dir               string    `json:"dir"`
	Flow              uint64    `json:"flow"`
	Sender            string    `json:"sender"`
	Metadata          Hex       `json:"metadata"`
	ReturnAssociation *uint64   `json:"return_association"`
	Messages          []Message `json:"messages"`
}

// Message is a user message. Hex is nil when it was longer than 700 bytes.
type Message struct {
	Seq       [2]uint64  `json:"seq"`
	Datagram  int        `json:"datagram"`
	Len       int        `json:"len"`
	SHA256    Hex        `json:"sha256"`
	Hex       Hex        `json:"hex"`
	Fin       bool       `json:"fin"`
	Abandoned bool       `json:"abandoned"`
	TC        *TCMessage `json:"tc"`
}

// TCMessage is a decoded message of a "TC" flow. AMF0 is the recorder's rendering
// of the values.
type TCMessage struct {
	Type      uint8           `json:"tc_type"`
	Timestamp uint32          `json:"tc_timestamp"`
	Format    *uint8          `json:"format"`
	AMF0      json.RawMessage `json:"amf0"`
	Event     *uint16         `json:"event"`
	EventData Hex             `json:"event_data"`
}
