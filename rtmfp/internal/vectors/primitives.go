package vectors

import "encoding/json"

// PrimitiveSet is the file s06_primitives: single encodings and cryptographic
// steps, with rows that must fail.
type PrimitiveSet struct {
	Schema   string   `json:"schema"`
	Kind     string   `json:"kind"`
	Scenario string   `json:"scenario"`
	Title    string   `json:"title"`
	RFCRefs  []string `json:"rfc_refs"`

	VLUEncode                []VLU           `json:"vlu_encode"`
	VLUParse                 []VLU           `json:"vlu_parse"`
	OptionEncode             []OptionRow     `json:"option_encode"`
	OptionParse              []OptionRow     `json:"option_parse"`
	AddressEncode            []AddressRow    `json:"address_encode"`
	AddressParse             []AddressRow    `json:"address_parse"`
	AddressPresentationParse []AddressText   `json:"address_presentation_parse"`
	Checksum                 []Checksum      `json:"checksum"`
	DefaultKeyPackets        []DefaultPacket `json:"default_key_packets"`
	HMACSHA256               []HMAC          `json:"hmac_sha256"`
	ScrambledSessionID       []Scramble      `json:"scrambled_session_id"`
	Certificates             []Certificate   `json:"certificates"`
	EPDEncode                []EPD           `json:"epd_encode"`
	EPDSelect                []EPDSelect     `json:"epd_select"`
	Glare                    []Glare         `json:"glare"`
	DHPublicKeyAcceptance    []DHPublicKey   `json:"dh_public_key_acceptance"`
	Keying                   []Keying        `json:"keying"`
	FlowMetadata             []FlowMetadata  `json:"flow_metadata"`
	FlowMetadataParse        []FlowMetadata  `json:"flow_metadata_parse"`
	FlowSync                 []FlowSync      `json:"flow_sync"`
	RedirectorMetadata       []Bytes         `json:"redirector_metadata"`
	AMF0                     []AMF0          `json:"amf0"`
	AMF0LongString           []AMF0Long      `json:"amf0_long_string"`
	Commands                 []Command       `json:"commands"`
	AckExamples              []AckExample    `json:"ack_examples"`
}

// VLU is a row of vlu_encode or vlu_parse. The rows of vlu_encode have no OK.
type VLU struct {
	Hex      Hex    `json:"hex"`
	OK       bool   `json:"ok"`
	Value    uint64 `json:"value,string"`
	Consumed int    `json:"consumed"`
}

// OptionRow is a row of option_encode or option_parse.
type OptionRow struct {
	Option
	Hex      Hex  `json:"hex"`
	OK       bool `json:"ok"`
	Consumed int  `json:"consumed"`
}

// AddressRow is a row of address_encode or address_parse.
type AddressRow struct {
	Address
	OK       bool `json:"ok"`
	Consumed int  `json:"consumed"`
}

// AddressText is a string of setPeerInfo. Address is text, for the reference
// accepts what netip does not.
type AddressText struct {
	Text    string `json:"text"`
	OK      bool   `json:"ok"`
	Address string `json:"address"`
	Hex     Hex    `json:"hex"`
}

// Checksum is a row of checksum.
type Checksum struct {
	Data     Hex `json:"data"`
	Checksum Hex `json:"checksum"`
}

// DefaultPacket is a packet under the Default Session Key.
type DefaultPacket struct {
	SID       Hex `json:"sid"`
	Packet    Hex `json:"packet"`
	Plaintext Hex `json:"plaintext"`
	Datagram  Hex `json:"datagram"`
}

// HMAC is a row of hmac_sha256.
type HMAC struct {
	Key  Hex `json:"key"`
	Msg  Hex `json:"msg"`
	HMAC Hex `json:"hmac"`
}

// Scramble is a row of scrambled_session_id.
type Scramble struct {
	SID             Hex `json:"sid"`
	EncryptedFirst8 Hex `json:"encrypted_first8"`
	Scrambled       Hex `json:"scrambled"`
}

// Certificate is a row of certificates.
type Certificate struct {
	Name                 string `json:"name"`
	Cert                 Hex    `json:"cert"`
	Valid                bool   `json:"valid"`
	Static               bool   `json:"static"`
	AcceptsAncillary     bool   `json:"accepts_ancillary"`
	Fingerprint          Hex    `json:"fingerprint"`
	CanonicalEPD         Hex    `json:"canonical_epd"`
	CanonicalLength      *int   `json:"canonical_length"`
	RFC7425Fingerprint   Hex    `json:"rfc7425_fingerprint"`
	ReferenceFingerprint Hex    `json:"reference_fingerprint"`
	ReferenceAgrees      *bool  `json:"reference_agrees"`
}

// EPD is a row of epd_encode.
type EPD struct {
	Fingerprint Hex     `json:"fingerprint"`
	Ancillary   *string `json:"ancillary"`
	Hostname    *string `json:"hostname"`
	OK          bool    `json:"ok"`
	Hex         Hex     `json:"hex"`
}

// EPDSelect tells, by name of certificate, whether an EPD selects the certificate
// and whether its owner considers itself selected.
type EPDSelect struct {
	Name    string             `json:"name"`
	EPD     Hex                `json:"epd"`
	Selects map[string][2]bool `json:"selects_cert_and_self"`
}

// Glare is a row of glare; Near and Far name certificates.
type Glare struct {
	Near                    string `json:"near"`
	Far                     string `json:"far"`
	NearPrevailsAsInitiator bool   `json:"near_prevails_as_initiator"`
}

// DHPublicKey is a row of dh_public_key_acceptance.
type DHPublicKey struct {
	Name       string `json:"name"`
	Group      int    `json:"group"`
	Public     Hex    `json:"public"`
	Acceptable bool   `json:"acceptable"`
}

// Keying is a complete key agreement.
type Keying struct {
	Name                 string `json:"name"`
	Group                int    `json:"group"`
	InitiatorCertificate Hex    `json:"initiator_certificate"`
	ResponderCertificate Hex    `json:"responder_certificate"`
	InitiatorPrivate     Hex    `json:"initiator_private"`
	InitiatorPublic      Hex    `json:"initiator_public"`
	ResponderPrivate     Hex    `json:"responder_private"`
	ResponderPublic      Hex    `json:"responder_public"`
	SKIC                 Hex    `json:"skic"`
	SKRC                 Hex    `json:"skrc"`
	SharedSecret         Hex    `json:"shared_secret"`
	KeyI2R               Hex    `json:"key_i2r"`
	KeyR2I               Hex    `json:"key_r2i"`
	HMACKeyI2R           Hex    `json:"hmac_key_i2r"`
	HMACKeyR2I           Hex    `json:"hmac_key_r2i"`
	NonceInitiator       Hex    `json:"nonce_initiator"`
	NonceResponder       Hex    `json:"nonce_responder"`
}

// FlowMetadata is a row of flow_metadata or flow_metadata_parse.
type FlowMetadata struct {
	Hex          Hex    `json:"hex"`
	OK           bool   `json:"ok"`
	StreamID     uint64 `json:"stream_id"`
	NetworkOrder bool   `json:"network_order"`
}

// FlowSync is a row of flow_sync.
type FlowSync struct {
	SyncID uint32 `json:"sync_id"`
	Count  uint32 `json:"count"`
	Hex    Hex    `json:"hex"`
}

// Bytes is a row with nothing but an encoding.
type Bytes struct {
	Hex Hex `json:"hex"`
}

// AMF0 is a value, in the recorder's rendering, and its encoding.
type AMF0 struct {
	Value json.RawMessage `json:"value"`
	Hex   Hex             `json:"hex"`
}

// AMF0Long describes the encoding of a string of Length times Char.
type AMF0Long struct {
	Length         int    `json:"length"`
	Char           string `json:"char"`
	EncodingPrefix Hex    `json:"encoding_prefix"`
	EncodingLength int    `json:"encoding_length"`
}

// Command is a whole TC message.
type Command struct {
	Name      string    `json:"name"`
	TCMessage Hex       `json:"tc_message"`
	Decoded   TCMessage `json:"decoded"`
}

// AckExample is an acknowledgement chunk of RFC 7016's figures.
type AckExample struct {
	Source    string      `json:"source"`
	Chunk     Hex         `json:"chunk"`
	Flow      uint64      `json:"flow"`
	BufBlocks uint64      `json:"buf_blocks"`
	CumAck    uint64      `json:"cum_ack"`
	Acked     []uint64    `json:"acked"`
	Ranges    [][2]uint64 `json:"ranges"`
	Truncated bool        `json:"truncated"`
}
