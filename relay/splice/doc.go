// Package splice relays RTMFP between two peers that cannot reach each other and
// know nothing of it: each takes an address of the relay for the other's.
//
// What passes stays encrypted. Who is who shows in the startup packets, which
// travel under a key that everybody knows: IHello and RHello carry the tag of the
// introduction, IIKeying the cookie of the RHello, and both keyings the session
// IDs that all later packets are recognised by.
//
// Three parts, of which the first two have no clock, socket, goroutine or lock:
//
//   - [Book] is the control plane: which port each side of each pair gets, who is
//     refused. It turns a [Request] into a [Grant] for the peers and an [Order]
//     for the table.
//   - [Table] is the packet plane, plain data: it carries out orders, learns where
//     the sides are, forwards, repeats, and tells when a splice has ended.
//   - [Relay] drives both over sockets.
package splice
