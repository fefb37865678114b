package binding

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/pion/stun/v2"
)

// pion/stun reads two bytes of an address that may have none, behind the end of the
// message.
func TestShortAddress(t *testing.T) {
	for _, typ := range []stun.AttrType{stun.AttrXORMappedAddress, stun.AttrMappedAddress, stun.AttrOtherAddress, stun.AttrErrorCode} {
		for _, kind := range []stun.MessageType{stun.BindingSuccess, stun.BindingError} {
			m := stun.MustBuild(stun.TransactionID, kind)
			b := append(slices.Clone(m.Raw), 0, 0, 0, 0)
			binary.BigEndian.PutUint16(b[2:], 4)
			binary.BigEndian.PutUint16(b[20:], uint16(typ))
			if a, err := ParseAnswer(slices.Clip(b)); err == nil {
				t.Errorf("%v %v: %+v", kind, typ, a)
			}
		}
	}
}
