// Package pairing ties a node to the core servers beside it: signed hooks, by
// which a core is asked and told over HTTP.
//
// A hook is a POST of one JSON object. Three headers prove where it comes from
// and when (see [Sign]); a core checks them with a [Receiver] or in ten lines of
// its own.
package pairing
