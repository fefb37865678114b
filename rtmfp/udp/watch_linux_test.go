package udp

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// In a network namespace of its own, which the test's thread takes with it to its grave, addresses come and
// go; each time the watcher says so, and the list is true.
func TestWatchAddresses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root")
	}
	runtime.LockOSThread() // never unlocked: the runtime ends the thread
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	ip("link set lo up")
	ip("link add eth0 type veth peer name eth1")
	ip("link set eth1 up")
	ip("link set eth0 up")
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	told := make(chan struct{}, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		WatchAddresses(ctx, func() { told <- struct{}{} })
	}()
	defer func() { stop(); <-ended }()
	<-told // of its start
	until := func(what string, ok func(list []Address) bool) {
		t.Helper()
		for patience := time.After(10 * time.Second); ; {
			list, err := Addresses()
			if err != nil {
				t.Fatal(err)
			}
			if ok(list) {
				return
			}
			select {
			case <-told:
			case <-patience:
				t.Fatalf("%s: %+v", what, list)
			}
		}
	}
	find := func(list []Address, a string) (Address, bool) {
		i := slices.IndexFunc(list, func(x Address) bool { return x.Addr == netip.MustParseAddr(a) })
		if i < 0 {
			return Address{}, false
		}
		return list[i], true
	}
	ip("addr add 192.0.2.77/28 dev eth0")
	until("an address came", func(list []Address) bool {
		a, ok := find(list, "192.0.2.77")
		return ok && a.Up && !a.Tentative && a.Interface == "eth0" && a.Link == netip.MustParsePrefix("192.0.2.64/28")
	})
	ip("addr add 2001:db8::7/64 dev eth0")
	if list, err := Addresses(); err != nil {
		t.Error(err)
	} else if a, ok := find(list, "2001:db8::7"); !ok || !a.Tentative || a.Link != netip.MustParsePrefix("2001:db8::/64") {
		t.Errorf("while its uniqueness is in doubt: %+v %v", a, ok)
	}
	until("it is unique", func(list []Address) bool {
		a, ok := find(list, "2001:db8::7")
		return ok && !a.Tentative
	})
	ip("addr add 192.0.2.1 peer 198.51.100.9/32 dev eth0")
	until("point to point", func(list []Address) bool {
		a, ok := find(list, "192.0.2.1")
		return ok && a.Link == netip.MustParsePrefix("198.51.100.9/32")
	})
	ip("addr del 192.0.2.77/28 dev eth0")
	until("one went", func(list []Address) bool { _, ok := find(list, "192.0.2.77"); return !ok })
	ip("link set eth0 down")
	until("its interface is down", func(list []Address) bool {
		a, ok := find(list, "192.0.2.1")
		return ok && !a.Up && !slices.ContainsFunc(Serveable(list), func(x Address) bool { return x.Addr == a.Addr })
	})
}
