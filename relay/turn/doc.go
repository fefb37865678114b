// Package turn is the TURN server of a node (RFC 8656) over UDP, TCP and TLS: github.com/pion/turn/v3
// behind guards.
//
// pion keeps allocations, permissions and channels. Everything that a stranger can
// send goes through a front first, of which there is one for each UDP socket and each TCP or TLS
// connection. A front authenticates requests, answers by itself those that are refused, and hands pion
// only those that may succeed, encoded anew and signed under a key of this process. pion's answers come
// back through it and are signed for the client. So pion never parses an attribute that a stranger
// wrote, and what it gets wrong does not show.
//
// A relay address is an allocation, which pion sees as its relay socket. It asks package limit about
// each packet and package guard about each destination. Channel data passes there from socket to socket;
// pion makes and reads indications alone.
//
// pion has no place for the TOS byte, so ECN (RFC 8656 section 16) is not carried across.
package turn
