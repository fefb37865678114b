package natprobe

import (
	"net/netip"
	"slices"
	"time"
)

// Connectivity is a record in the terms of the event that Flash applications know
// as NetConnection.ConnectivityCheck.Results, whose names the fields have, and
// what that event cannot say. Unknown is to be sent as undefined, not as false.
type Connectivity struct {
	PublicAddress              netip.AddrPort // where the client is seen, with the port
	PublicAddressIsLocal       Answer
	PublicPortMatchesLocalPort Answer

	ReceiveSameAddressDifferentPortAllowed      Answer
	ReceiveDifferentAddressDifferentPortAllowed Answer

	// After an introduction, towards an address and port not used before. Address
	// and port are compared each by itself.
	SendAfterIntroductionAllowed                Answer
	SendAfterIntroductionPreservesSourceAddress Answer
	SendAfterIntroductionPreservesSourcePort    Answer

	Mapping   Mapping
	Filtering Filtering
	PortStep  int // zero: the ports do not step, or it is not known
	NATClass  Class
	Advice    string // in plain English
}

// NewConnectivity reads a record at now.
func NewConnectivity(obs []Observation, now time.Time) Connectivity {
	e := gather(obs, now)
	b := Classify(obs, now)
	return Connectivity{
		PublicAddress: e.seen,
		PublicAddressIsLocal: e.someReported(func(r netip.AddrPort) bool {
			return r.Addr() == e.seen.Addr()
		}),
		PublicPortMatchesLocalPort: e.someReported(func(r netip.AddrPort) bool {
			return r.Port() == e.seen.Port()
		}),
		ReceiveSameAddressDifferentPortAllowed:      either(b.Filtering, []Filtering{EIF, ADF, FilteringNotAPDF}, []Filtering{APDF}),
		ReceiveDifferentAddressDifferentPortAllowed: either(b.Filtering, []Filtering{EIF}, []Filtering{ADF, APDF, FilteringNotEIF}),
		SendAfterIntroductionAllowed:                b.sendsAfterIntroduction(e),
		SendAfterIntroductionPreservesSourceAddress: e.keepsAddress(),
		SendAfterIntroductionPreservesSourcePort:    either(b.Mapping, []Mapping{EIM}, []Mapping{ADM, APDM, MappingNotEIM}),
		Mapping:                                     b.Mapping, Filtering: b.Filtering, PortStep: b.Step, NATClass: b.Class(), Advice: b.Advice(),
	}
}

func either[T comparable](v T, yes, no []T) Answer {
	switch {
	case slices.Contains(yes, v):
		return Yes
	case slices.Contains(no, v):
		return No
	}
	return Unknown
}

// someReported asks of the addresses that the host calls its own.
func (e *evidence) someReported(is func(netip.AddrPort) bool) Answer {
	switch {
	case !e.seen.IsValid() || len(e.reported) == 0:
		return Unknown
	case slices.ContainsFunc(e.reported, is):
		return Yes
	}
	return No
}

func (b Behavior) sendsAfterIntroduction(e evidence) Answer {
	switch {
	case b.AnswersIntroductions.Answer == No || b.BlockedRoutes.Answer == Yes:
		return No
	case slices.ContainsFunc(e.mappings, answered):
		return Yes
	}
	return Unknown
}

func (e *evidence) keepsAddress() Answer {
	points := those(e.mappings, answered)
	switch {
	case !e.seen.IsValid() || len(points) == 0:
		return Unknown
	case slices.ContainsFunc(points, func(o Observation) bool { return o.Seen.Addr() != e.seen.Addr() }):
		return No
	}
	return Yes
}

// Advice says what somebody with this behaviour can do to meet more peers.
func (b Behavior) Advice() string {
	switch b.Class() {
	case Public, FullCone:
		return "Every peer can reach this host. Nothing needs to be done."
	case Firewall, AddressRestricted, PortRestricted:
		return "Peers can meet this host, except those behind symmetric NATs: these take a relay."
	case SymmetricStepping:
		return "Peers are met by predicting ports, which other traffic can upset. A port forwarding on the router makes it certain."
	case SymmetricRandom, SymmetricOpenFilter:
		return "Peers behind ordinary routers take a relay. A port forwarding, or a router without symmetric NAT, avoids it."
	case Blocked:
		return "A firewall lets UDP out to few ports or addresses only. Peers take a relay there; opening UDP in the firewall avoids it."
	case Silent:
		return "The application does not take part in peer-to-peer: it answers no introduction. Peers cannot be met before it does."
	case ClassUnknown:
	}
	return "Too little is known of the network to tell."
}
