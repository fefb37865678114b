package vectors

import "net/netip"

// Datagram is one UDP datagram, as sent and as plaintext.
type Datagram struct {
	N            int            `json:"n"`
	TimeUS       int64          `json:"t_us"`
	From         string         `json:"from"`
	To           string         `json:"to"` // "" when the address is no endpoint's
	Src          netip.AddrPort `json:"src"`
	Dst          netip.AddrPort `json:"dst"`
	Net          string         `json:"net"`
	TOS          uint8          `json:"tos"`
	Key          string         `json:"key"` // "default" or a session's ID
	Dir          string         `json:"dir"` // "i2r" or "r2i", for sessions' keys
	SID          Hex            `json:"sid"`
	Hex          Hex            `json:"hex"`
	CorruptedHex Hex            `json:"corrupted_hex"`
	Plaintext    Hex            `json:"plaintext"`
	SSEQ         *uint64        `json:"sseq"`
	Checksum     Hex            `json:"checksum"`
	HMAC         Hex            `json:"hmac"`
	PacketOff    int            `json:"packet_off"`
	Packet       Packet         `json:"packet"`
	Rx           []Rx           `json:"rx"`
}

// PacketBytes returns the plain RTMFP packet, with its padding.
func (d *Datagram) PacketBytes() []byte { return d.Plaintext[d.PacketOff:] }

// Rx is one reception of a datagram. Src and Dst are set where they differ from
// the sender's view.
type Rx struct {
	Who              string         `json:"who"`
	TimeUS           int64          `json:"t_us"`
	Src              netip.AddrPort `json:"src"`
	Dst              netip.AddrPort `json:"dst"`
	Accepted         bool           `json:"accepted"`
	AcceptedOnReplay bool           `json:"accepted_on_replay"`
	Reason           string         `json:"reason"`
}

// Packet is the recorder's decoding of an RTMFP packet. Offsets count from the
// start of the plaintext.
type Packet struct {
	Flags      Hex     `json:"flags"`
	Mode       uint8   `json:"mode"`
	TC         bool    `json:"tc"`
	TCR        bool    `json:"tcr"`
	TS         *uint16 `json:"ts"`
	TSE        *uint16 `json:"tse"`
	Chunks     []Chunk `json:"chunks"`
	PaddingOff int     `json:"padding_off"`
	Padding    Hex     `json:"padding"`
}

// Chunk is the recorder's decoding of a chunk. Which members are set depends on
// the type.
type Chunk struct {
	Type Hex    `json:"type"`
	Name string `json:"name"`
	Off  int    `json:"off"`
	Len  int    `json:"len"`

	EPD                Hex       `json:"epd"`
	EPDOptions         []Option  `json:"epd_options"`
	ReplyAddress       *Address  `json:"reply_address"`
	Tag                Hex       `json:"tag"`
	Cookie             Hex       `json:"cookie"`
	Cert               Hex       `json:"cert"`
	CertOptionsCount   int       `json:"cert_options_count"`
	Addresses          []Address `json:"addresses"`
	OldCookie          Hex       `json:"old_cookie"`
	NewCookie          Hex       `json:"new_cookie"`
	InitiatorSessionID Hex       `json:"initiator_session_id"`
	ResponderSessionID Hex       `json:"responder_session_id"`
	SKIC               Hex       `json:"skic"`
	SKRC               Hex       `json:"skrc"`
	Signature          Hex       `json:"signature"`
	Message            Hex       `json:"message"`

	UFlags     Hex      `json:"uflags"`
	Fra        string   `json:"fra"` // "whole", "begin", "end" or "middle"
	Abn        bool     `json:"abn"`
	Fin        bool     `json:"fin"`
	Flow       uint64   `json:"flow"`
	Seq        uint64   `json:"seq"`
	FSN        uint64   `json:"fsn"`
	FSNOffset  uint64   `json:"fsn_offset"` // User Data only
	Options    []Option `json:"options"`
	Metadata   Hex      `json:"metadata"`
	ReturnFlow *uint64  `json:"return_flow"`
	DataOff    int      `json:"data_off"`
	DataLen    int      `json:"data_len"`

	BufBlocks uint64      `json:"buf_blocks"`
	CumAck    uint64      `json:"cum_ack"`
	Ranges    [][2]uint64 `json:"ranges"`
	Bitmap    Hex         `json:"bitmap"`
	Acked     []uint64    `json:"acked"`
	Code      uint64      `json:"code"`
	CECount   uint8       `json:"ce_count"`
}

// Address is an encoded address and its decoding.
type Address struct {
	Hex     Hex            `json:"hex"`
	Address netip.AddrPort `json:"address"`
	Origin  uint8          `json:"origin"`
}
