// Package rtmfp is an RTMFP endpoint (RFC 7016) with the Flash cryptography
// profile (RFC 7425 section 4), in both roles.
//
// [Engine] is the protocol: it takes the current time and datagrams, and gives
// back datagrams, public-key jobs and the next deadline. It has no socket,
// goroutine, lock or clock. [Endpoint] drives one engine over UDP sockets.
//
// Everything reached from an engine (sessions, flows, callbacks) belongs to the
// goroutine that runs it; others enter through [Endpoint.Do].
package rtmfp
