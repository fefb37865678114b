package rtmfp_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pileus/rtmfp"
	"pileus/rtmfp/internal/memnet"
)

func TestFarEndDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(9, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		s := alice.open(uri(server.addr))
		alice.say(s, "one")
		alice.do(func(*rtmfp.Engine) { s.SetKeepalive(15 * time.Second) })
		settle(10 * time.Minute)
		if len(alice.reasons()) != 0 || len(server.reasons()) != 0 {
			t.Fatalf("an idle session ended: %v %v", alice.reasons(), server.reasons())
		}
		n.Cut(server.addr)
		settle(61 * time.Second)
		if r := alice.reasons(); len(r) != 1 || r[0] != rtmfp.ErrDead {
			t.Errorf("closed: %v", r)
		}
	})
}

// Who repeats its IIKeying has not got the answer: the session is kept for it.
func TestAnswersLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(3, line)
		server := newParty(t, n, serverAddr, serverIdentity(t), nil)
		alice := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		to := uri(server.addr)
		to.Retry = 250 * time.Millisecond
		alice.say(alice.open(to), "late")
		// IIKeyings leave at 0.04, 0.29, 2.04, 5.29, 10.04, 16.29, 24.04 and 33.29 s, and
		// are answered 20 ms later.
		at := time.Duration(0)
		for _, step := range []struct {
			until time.Duration
			loss  float64
		}{{50 * time.Millisecond, 0}, {24 * time.Second, 1}, {24050 * time.Millisecond, 0}, {30 * time.Second, 1}, {40 * time.Second, 0}} {
			n.SetPath(memnet.Path{Delay: line.Delay, Loss: step.loss})
			settle(step.until - at)
			at = step.until
		}
		if got := server.got(); len(got) != 1 {
			t.Errorf("got %q; %+v", got, server.stats())
		}
	})
}

// talking is a server, and a client that has a session with it.
func talking(t *testing.T, n *memnet.Network) (server, alice *party) {
	t.Helper()
	server = newParty(t, n, serverAddr, serverIdentity(t), nil)
	alice = newParty(t, n, aliceAddr, clientIdentity(t), nil)
	alice.say(alice.open(uri(server.addr)), "one")
	settle(time.Second)
	return server, alice
}

// A peer that another endpoint's session holds the address of is not heard while
// that one answers.
func TestSameAddressTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(20, line)
		server, alice := talking(t, n)
		mallory := newParty(t, n, bobAddr, clientIdentity(t), nil)
		n.Rebind(mallory.addr, alice.addr) // she hears what is for Alice, for long enough to answer a cookie
		mallory.open(uri(server.addr))
		settle(50 * time.Millisecond)
		n.Rebind(mallory.addr, mallory.addr)
		settle(time.Minute)
		if st := server.stats(); len(server.reasons()) != 0 || st.Drops[rtmfp.DropSameAddress] == 0 {
			t.Errorf("closed: %v, drops %v", server.reasons(), st.Drops)
		}
	})
}

// A peer that another endpoint's session holds the address of is heard when that
// one is gone.
func TestSameAddressOtherCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(20, line)
		server, alice := talking(t, n)
		n.Cut(alice.addr) // the program is gone, its session is not
		other := newParty(t, n, aliceAddr, clientIdentity(t), nil)
		other.open(uri(server.addr))
		settle(3 * time.Second)
		if st := server.stats(); st.Sessions != 1 || st.Drops[rtmfp.DropSameAddress] == 0 {
			t.Errorf("%d sessions, drops %v", st.Sessions, st.Drops)
		}
		// It is let in once the old one has left its pings unanswered.
		settle(12 * time.Second)
		if r := server.reasons(); len(r) != 1 || r[0] != rtmfp.ErrDead {
			t.Errorf("closed: %v", r)
		}
		if st := server.stats(); st.Sessions != 1 || st.Accepted != 2 {
			t.Errorf("%d sessions, %d accepted", st.Sessions, st.Accepted)
		}
	})
}

// The same endpoint coming back replaces its stale session.
func TestSameAddressSameCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(20, line)
		server, alice := talking(t, n)
		n.Cut(alice.addr)
		again := newParty(t, n, aliceAddr, alice.id, nil)
		again.say(again.open(uri(server.addr)), "two")
		settle(3 * time.Second)
		if r := server.reasons(); len(r) != 1 || r[0] != rtmfp.ErrOverridden {
			t.Errorf("closed: %v", r)
		}
		if st := server.stats(); st.Sessions != 1 {
			t.Errorf("%d sessions", st.Sessions)
		}
	})
}
