package introducer

import (
	"pileus/rtmfp/amf"
	"pileus/rtmfp/netconn"
)

// rpcs are the commands that clients may call beside those of the protocol. A
// command that is not here is answered as RFC 7425 clients expect of one that
// nobody knows.
var rpcs = map[string]func(n *Node, p *Peer, args call) (amf.Value, *callError){
	"relay":                (*Node).rpcRelay,
	"broadcast":            (*Node).rpcBroadcast,
	"watch":                (*Node).rpcWatchPeer,
	"presence.register":    (*Node).rpcRegister,
	"presence.unregister":  (*Node).rpcUnregister,
	"presence.lookup":      (*Node).rpcLookup,
	"presence.list":        (*Node).rpcList,
	"presence.watch":       (*Node).rpcWatch,
	"presence.unwatch":     (*Node).rpcUnwatch,
	"introduction.report":  (*Node).rpcReport,
	"introduction.notify":  (*Node).rpcNotify,
	"introduction.explain": (*Node).rpcExplain,
}

// call is what a command was given, and how many bytes it came in.
type call struct {
	amf.Args
	size int
}

// One session may call so many times a second, and so many at once: a program
// in a loop costs this node no more than its packets do.
const (
	callRate  = 50
	callBurst = 200
)

// heeds reports whether a client may ask for something once more.
func (c *client) heeds() bool {
	return c.peer.calls.Take(c.conn.Session().Engine().Now(), callRate, callBurst)
}

// callError is the answer to a call that failed.
type callError struct{ code, text string }

const (
	codeBadArguments = "Pileus.Call.BadArguments"
	codeTooFast      = "Pileus.Call.TooFast"
)

func badArguments(text string) *callError { return &callError{codeBadArguments, text} }

// Command implements netconn.ServerHandler.
func (c *client) Command(cmd netconn.Command) bool {
	f := rpcs[cmd.Name]
	if f == nil || c.peer == nil {
		return false
	}
	n := c.node
	n.stats.Calls++
	args := call{cmd.Given(), cmd.Size}
	var result amf.Value
	failed := &callError{codeTooFast, "too many calls in a short time; wait some seconds"}
	if c.heeds() {
		result, failed = f(n, c.peer, args)
	}
	if failed != nil {
		n.stats.CallsFailed++
	}
	if cmd.Transaction == 0 {
		return true // no answer is wanted
	}
	// A client that left no room for an answer gets none; netconn counts it.
	if failed != nil {
		_ = c.conn.Error(cmd.Transaction, failed.code, failed.text)
	} else {
		_ = c.conn.Result(cmd.Transaction, result)
	}
	return true
}
