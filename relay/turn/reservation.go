package turn

import (
	"crypto/rand"
	"sync"
	"time"
)

// A reservation is the port after an allocation's, kept for another allocation of the same user (RFC 8656
// section 7.2, EVEN-PORT with R=1). It ends with that allocation, so that there are no more of them than
// quotas allow allocations.
type reservation struct {
	token  [tokenLen]byte
	user   string
	socket relaySocket
	expiry *time.Timer
}

const tokenLen = 8 // bytes, RFC 8656 section 18.6

// reservations are those that nobody has claimed.
type reservations struct {
	mu   sync.Mutex
	open map[[tokenLen]byte]*reservation
}

// keep reserves a bound socket.
func (rs *reservations) keep(socket relaySocket, user string) *reservation {
	r := &reservation{user: user, socket: socket}
	_, _ = rand.Read(r.token[:]) // never fails
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.open[r.token] = r
	r.expiry = time.AfterFunc(reservationLifetime, func() { rs.end(r) })
	return r
}

func (rs *reservations) count() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.open)
}

// claim takes a reservation of user's, or returns nil.
func (rs *reservations) claim(token []byte, user string) *reservation {
	if len(token) != tokenLen {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.open[[tokenLen]byte(token)]
	if r == nil || r.user != user {
		return nil
	}
	delete(rs.open, r.token)
	r.expiry.Stop()
	return r
}

// end gives up a reservation, unless it is claimed.
func (rs *reservations) end(r *reservation) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.open[r.token] == r {
		delete(rs.open, r.token)
		r.expiry.Stop()
		_ = r.socket.Close()
	}
}
