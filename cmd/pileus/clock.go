package main

import "time"

// A clock tells the time of day. A node has one, which it is built with; whatever goes by
// the time of day asks it, and nothing else does:
//
//   - tokens of tenants: until when one is good (introducer/admission.go);
//   - hooks: the time that is signed, and whether the core's certificate is valid
//     (introducer/pairing/hooks.go);
//   - time-limited names of TURN: whether one has expired (relay/turn/authenticate.go);
//   - bytes_per_day: when a UTC day begins (relay/limit/advance.go);
//   - the node's own certificates: a warning before they expire (certificate.go). Whether
//     they are valid is for clients to say, by their clocks.
//
// What lasts for so and so long is measured otherwise: Go's times carry the monotonic
// clock, which nobody sets, and what is kept as a number is counted from a time that
// carries it. In logs, events and the API times are shown, and nothing is decided by them.
type clock func() time.Time
