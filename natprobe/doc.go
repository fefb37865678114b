// Package natprobe finds out what a NAT does to the host behind it.
//
// Its vocabulary is RFC 4787's: a [Behavior] says how the NAT maps, filters and
// allocates ports, each with the evidence it rests on. [Classify] makes one of
// recorded [Observation] values; it is pure, so that a record can be classified
// again. [Planner] decides which probes a node sends to an unmodified RTMFP
// client. Below it, binding speaks STUN, prober asks an RFC 5780 server, and report
// says what follows from all that was measured.
//
// What an observation cannot tell stays unknown: a lost packet is not a filtered
// one, and a single server address cannot tell address-dependent behaviour from
// the rest.
package natprobe
