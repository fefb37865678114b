// Package strategy decides how two peers meet. [Decide] takes what is known of
// both and returns a plan: the addresses to name to each, in which order and how
// often, whether a relay joins, and a sentence that says why. It is pure: its
// table test is its specification.
//
// All of it follows from one rule, in meet: given how two NATs map and filter,
// can a packet pass both ways? What is not known of a NAT is tried every way it
// can be; a plan is sure only where all of them agree.
package strategy
