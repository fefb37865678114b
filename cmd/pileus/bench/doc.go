// Package bench loads an RTMFP server with simulated clients and reports what
// it costs: CPU time and memory, read from /proc, and what the clients saw.
//
// It works against any server that speaks RFC 7425 and needs nothing of it but
// its address; with a process ID it also reads the server's CPU time and
// memory. Given commands instead, it starts each server afresh for every
// measurement and interleaves them, so that two servers meet the same machine.
//
// Every simulated peer has its own source address, in a /24 of its own, on one
// UDP socket: an endpoint keeps one session per far address, and limits per
// prefix must not see a crowd. Linux only.
package bench
