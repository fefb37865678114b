package rtmfp

import "pileus/rtmfp/wire"

func (e *Engine) reassemble(Datagram, wire.SessionID, []byte) []byte {
	e.drop(DropFragment)
	return nil
}
