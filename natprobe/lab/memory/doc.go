// Package memory joins RTMFP engines by a network that exists in memory only:
// hosts on links, the exact NATs of package lab between links, and a backbone
// with delay and loss. Its time passes only while it is told to wait, so that
// minutes take milliseconds and nothing depends on the machine.
//
// It has no goroutine, socket or clock and is not safe for concurrent use. Whatever
// an engine would have others do, public-key work, is done on the spot.
package memory
