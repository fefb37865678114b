// Package lab makes networks to test in: NATs in memory, and NATs of the Linux
// kernel in network namespaces. It makes networks only: what is measured in
// them, and what is decided about them, is no concern of its own.
//
// The core is NAT, a translator for UDP as pure values: packets' addresses and
// the time go in, the translated addresses come out. The lab in memory and the
// user-space NAT in a namespace both run it.
package lab
