// Package introducer is the heart of a node: it knows who is here and brings
// peers together. It sits on an [rtmfp.Engine] as its handler and, like it, has
// no sockets, goroutines or clock; everything runs on the engine's goroutine.
package introducer
