// Package flow is RTMFP's flows: what section 3.6 of RFC 7016 says about sending
// and receiving messages, and the congestion control of section 3.5.2 and
// appendix A.
//
// One Mux serves one open session. It has no clock, socket, goroutine or lock: the
// session hands it the chunks of verified packets, asks it to fill packets, and
// tells it when a deadline has passed. All calls on a Mux and its flows, and all
// callbacks, happen on one goroutine.
//
// # Who does what
//
// For each packet that verified, the session calls ReceiveChunk for every chunk in
// order and then ReceiveEnd once. After that, after Advance, and after Wake it
// calls Fill until Fill appends nothing, sending one packet per call; then it sets
// its timer to Deadline and calls Advance when that has passed.
//
// The session measures the round trip by timestamp echoes and calls SetRTT with
// every valid measurement (steps 5 to 8 of section 3.5.2.2). The Mux owns what
// happens then: the timeout alarm, its exponential backoff up to 10 s, loss,
// retransmission and the congestion window. RTO tells the value in force.
//
// The session writes packet headers. It sets the Time Critical flag and the ECN
// field as FillInfo says, and the Time Critical Reverse flag as
// TimeCriticalReverse says.
//
// # Callbacks
//
// Callbacks run inside ReceiveChunk, ReceiveEnd, Advance and Abort, and inside
// calls on a flow that set data free. They may call anything on the Mux and its
// flows except ReceiveChunk, ReceiveEnd, Advance and Fill.
package flow
