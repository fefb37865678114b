// Package demo shows in one process what a node does: peers behind simulated NATs
// connect, are classified, look each other up by name, and meet. The node, the
// peers and the protocol between them are the real ones; the network is that of
// natprobe/lab/memory, in whose time a second may take a millisecond.
package demo
