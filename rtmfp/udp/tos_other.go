//go:build !linux && !darwin

package udp

import "syscall"

// CarriesTOS says whether a [Datagram]'s TOS means anything here.
const CarriesTOS = false

// Windows reports a datagram that does not fit as an error; the flag is never set.
const msgTruncated = 0

const controlSpace = 0

type tosControl struct{}

func newTOSControl(bool) tosControl { return tosControl{} }

func (tosControl) set(uint8) []byte { return nil }

func parseTOS([]byte) uint8 { return 0 }

func receiveTOS(syscall.RawConn, bool) error { return nil }
