package netconn

import "pileus/rtmfp/amf"

// Status codes that Flash applications know.
const (
	StatusConnectSuccess  = "NetConnection.Connect.Success"
	StatusConnectRejected = "NetConnection.Connect.Rejected"
	StatusConnectFailed   = "NetConnection.Connect.Failed"
	StatusInvalidApp      = "NetConnection.Connect.InvalidApp"
	StatusConnectClosed   = "NetConnection.Connect.Closed"
	StatusCallFailed      = "NetConnection.Call.Failed"

	StatusStreamSuccess  = "NetStream.Connect.Success"
	StatusStreamRejected = "NetStream.Connect.Rejected"
	StatusStreamFailed   = "NetStream.Connect.Failed"
	StatusStreamClosed   = "NetStream.Connect.Closed"

	StatusPlayStart       = "NetStream.Play.Start"
	StatusPlayFailed      = "NetStream.Play.Failed"
	StatusPlayNotFound    = "NetStream.Play.StreamNotFound"
	StatusUnpublishNotify = "NetStream.Play.UnpublishNotify"
	StatusPublishStart    = "NetStream.Publish.Start"
	StatusPublishFailed   = "NetStream.Publish.Failed"

	// StatusPlayAsked is no event of Flash's: whether a stream may be played is asked
	// somebody, who may take his time.
	StatusPlayAsked = "Pileus.Play.Asked"
)

const (
	levelStatus = "status"
	levelError  = "error"
)

// info builds the information object of a status event.
func info(level, code, description string, more ...amf.Member) amf.Object {
	o := make(amf.Object, 0, 3+len(more))
	o = append(o,
		amf.Member{Name: "level", Value: amf.String(level)},
		amf.Member{Name: "code", Value: amf.String(code)},
		amf.Member{Name: "description", Value: amf.String(description)},
	)
	return append(o, more...)
}

// onStatus is the command that carries a status event.
func onStatus(o amf.Object) Command {
	return Command{Name: "onStatus", Args: amf.Args{o}}
}
