package peer

import (
	"errors"
	"fmt"

	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

// register asks the server for the name that others shall find this peer by.
func (r *runner) register(name string) {
	r.call("presence.register", name, func(_ amf.Object, err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.report.event("named", fmt.Sprintf("known as   %q", name), "name", name)
	})
}

// watch has found called with the ID of the peer that has a name, each time that
// another peer gets it: at once if one has it. It has gone called when nobody
// has it, also at once.
func (r *runner) watch(name string, found func(flash.PeerID), gone func()) {
	if r.watches == nil {
		r.watches = make(map[string][]watch)
	}
	r.watches[name] = append(r.watches[name], watch{found, gone})
	r.call("presence.watch", name, func(info amf.Object, err error) {
		if err != nil {
			r.fail(err)
			return
		}
		if id, err := flash.ParsePeerID(info.String("peerID")); err == nil {
			found(id)
		} else {
			gone()
		}
	})
}

// watch is who wants to hear of a name.
type watch struct {
	found func(flash.PeerID)
	gone  func()
}

// heard takes the event of a name that is watched.
func (r *runner) heard(info amf.Object) {
	id, err := flash.ParsePeerID(info.String("peerID"))
	if err != nil || r.ending {
		return
	}
	for _, w := range r.watches[info.String("name")] {
		switch info.String("event") {
		case "came", "changed":
			w.found(id)
		case "went":
			w.gone()
		}
	}
}

// call calls a command about a name; done takes the one result, or an error for
// people.
func (r *runner) call(command, name string, done func(amf.Object, error)) {
	unknown := fmt.Sprintf("%s knows no names of peers; a pileus node does, and any server knows peer IDs", r.node())
	// Not all that do not know a command say so.
	patience := r.engine.After(r.cfg.Timeout, func() {
		r.fail(fmt.Errorf("no answer to %s in %s: %s", command, spell(r.cfg.Timeout), unknown))
	})
	err := r.conn.Call(command, func(results amf.Args, err error) {
		patience.Stop()
		if r.ending {
			return
		}
		var status *netconn.StatusError
		switch {
		case errors.As(err, &status) && status.Code == netconn.StatusCallFailed:
			err = errors.New(unknown)
		case errors.As(err, &status):
			err = fmt.Errorf("%s refuses the name %q: %s", r.node(), name, describe(status.Code, status.Description))
		case err != nil:
			return // the connection is over, which is told elsewhere
		}
		info, _ := results.Object(0)
		done(info, err)
	}, amf.String(name))
	if err != nil {
		r.fail(err)
	}
}

// expect lets peers of the names in --accept play, whoever has them.
func (r *runner) expect(name string) {
	r.watch(name,
		func(id flash.PeerID) { r.holders[name] = id },
		func() { delete(r.holders, name) })
}

// judge says what becomes of a peer that wants to play.
func (r *runner) judge(id flash.PeerID) verdict {
	for _, holder := range r.holders {
		if holder == id {
			return yes
		}
	}
	return r.cfg.Accept.judge(id)
}
