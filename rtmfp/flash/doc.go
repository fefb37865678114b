// Package flash is the cryptography profile of Flash communication: RFC 7425
// section 4. It knows certificates and who they belong to, endpoint
// discriminators, Diffie-Hellman keying, and how packets are sealed and opened.
//
// It has no clock, socket or goroutine. A responder turns an IIKeying into keys
// and a RIKeying so:
//
//	far, err := flash.ParseCertificate(iikeying.Certificate)
//	skrc, keys, err := identity.AnswerKeying(far, iikeying.Component, policy, pool)
//
// an initiator so:
//
//	k, err := identity.BeginKeying(far, policy, pool) // far from the RHello
//	... IIKeying with k.Component(), RIKeying ...
//	keys, err := k.Finish(rikeying.Component)
//
// Both may run on any goroutine: an Identity is immutable, a KeyPool safe for
// concurrent use. SessionKeys belong to one goroutine at a time.
//
// A certificate alone proves nothing (section 4.3.4): that the far end holds the
// key of its certificate is shown by the first packet that Opener.Open accepts,
// and by a static key only (Certificate.HasStaticKey).
package flash

// Signature is what goes into the signature field of keying chunks, by an end
// with nothing to sign (section 4.3.5). It is no well-formed option list, and a
// verifier that requires no signature accepts any.
const Signature = "X"
