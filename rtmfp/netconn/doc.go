// Package netconn speaks RTMP messages over RTMFP flows (RFC 7425 section 5):
// NetConnections, as server and as client, and the NetStreams that clients
// play straight from one another.
//
// Nothing here blocks, waits or reads a clock. Methods are called on the
// engine's goroutine, and so are the callbacks; every callback may call any
// method.
//
// # Bad input
//
// A message that cannot be understood is dropped and counted by reason (see
// [Stats]); a flow that cannot be accepted is rejected with exception 0. Neither
// ends a session: that takes a reason of RFC 7425 section 5.3.6.
package netconn
