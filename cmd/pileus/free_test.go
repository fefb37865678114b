package main

import (
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Ports for tests, below those that systems give to whoever asks for any, which some other
// test might do before a node has them: Linux begins at 32768.
const (
	freeFirst = 20_000
	freeLast  = 29_999
)

// freeRow finds n ports in a row that nobody has on 127.0.0.1 and 127.0.0.2, for UDP and
// TCP, and gives the first. It looks from anywhere, for other tests look, too.
func freeRow(t *testing.T, n int) int {
	t.Helper()
	const tries = 1000
	for range tries {
		first := freeFirst + rand.IntN(freeLast-freeFirst-n)
		if closed, ok := holdRow(first, n); ok {
			if awaitFree(closed, first, n) {
				return first
			}
		}
	}
	t.Fatalf("no %d ports in a row are free", n)
	return 0
}

// free is ports as freeRow finds them.
func free(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i, first := 0, freeRow(t, n); i < n; i++ {
		ports[i] = strconv.Itoa(first + i)
	}
	return ports
}

// awaitFree closes what holds the row, and waits until nobody has it. Between fork and exec
// a program that some other test starts has the sockets, too, and no more may be forked.
func awaitFree(closed func(), first, n int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	closed()
	for range 1000 { // a second or so: else it is somebody else's by now
		if again, ok := holdRow(first, n); ok {
			again()
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

func holdRow(first, n int) (closed func(), ok bool) {
	var held []io.Closer
	closed = func() {
		for _, c := range held {
			_ = c.Close()
		}
	}
	for port := first; port < first+n; port++ {
		for _, host := range []string{"127.0.0.1", "127.0.0.2"} {
			at := net.JoinHostPort(host, strconv.Itoa(port))
			packets, err := net.ListenPacket("udp4", at)
			if err != nil {
				closed()
				return nil, false
			}
			held = append(held, packets)
			streams, err := net.Listen("tcp4", at)
			if err != nil {
				closed()
				return nil, false
			}
			held = append(held, streams)
		}
	}
	return closed, true
}
