package binding

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/pion/stun/v2"
)

// An attribute that has no room for what it should have: package stun reads two bytes
// behind the end of the message.
func TestShortAddress(t *testing.T) {
	for _, typ := range []stun.AttrType{stun.AttrXORMappedAddress, stun.AttrMappedAddress, stun.AttrOtherAddress, stun.AttrErrorCode} {
		for _, kind := range []stun.MessageType{stun.BindingSuccess, stun.BindingError} {
			m := stun.MustBuild(stun.TransactionID, kind)
			b := append(slices.Clone(m.Raw), 0, 0, 0, 0)
			binary.BigEndian.PutUint16(b[2:], 4)
			binary.BigEndian.PutUint16(b[20:], uint16(typ))
			if a, err := ParseAnswer(slices.Clip(b)); err == nil && (kind == stun.BindingSuccess || a.Code != NoCode) {
				t.Errorf("%v %v: %+v", kind, typ, a)
			}
		}
	}
}
