package admin

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// A crowd bounds the connections of a server: a new one takes the place of that which
// has been idle for longest, and finds none if all are at work.
type crowd struct {
	max int

	mu    sync.Mutex
	conns map[net.Conn]visit
}

type visit struct {
	idle  bool // between requests, or before the first
	since time.Time
}

// changed is http.Server.ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.conns, conn)
		return
	case http.StateNew:
		if len(c.conns) >= c.max && !c.makeRoom() {
			go conn.Close()
			return
		}
	default:
	}
	c.conns[conn] = visit{idle: state != http.StateActive, since: time.Now()}
}

// makeRoom closes the one that has been idle for longest, and reports whether there was
// one.
func (c *crowd) makeRoom() bool {
	var oldest net.Conn
	for conn, v := range c.conns {
		if v.idle && (oldest == nil || v.since.Before(c.conns[oldest].since)) {
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	delete(c.conns, oldest)
	go oldest.Close() // TLS says goodbye first, to whom may not listen
	return true
}
