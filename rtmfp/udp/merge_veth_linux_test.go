package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel puts together what a real device brings only if its TOS is equal: no mark moves from one
// datagram to another.
func TestMergedKeepTheirMarks(t *testing.T) {
	near, far := cable(t)
	from := listenIn(t, near, netip.MustParseAddrPort("192.0.2.1:1000"))
	to := listenIn(t, far, netip.MustParseAddrPort("192.0.2.2:1000"))
	from.batch.(*mmsg).segment = false // alone on the cable
	in, err := NewInlet([]Socket{to}, 1500)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	m := to.batch.(*mmsg)
	if m.merging.on = true; !m.merged {
		m.merge(true)
	}
	if !m.merged {
		t.Skip("this kernel has no UDP_GRO")
	}
	const burst = 8
	for _, test := range []struct {
		name string
		tos  func(i int) uint8
	}{
		{"equal", func(int) uint8 { return 2 }},
		{"in turns", func(i int) uint8 { return []uint8{2, 3}[i%2] }},
		{"in halves", func(i int) uint8 { return []uint8{1, 0}[i/(burst/2)] }},
	} {
		got, reads := 0, 0
		for range 20 {
			out := make([]Datagram, burst)
			for i := range out {
				out[i] = Datagram{Peer: to.LocalAddr(), TOS: test.tos(i), Data: make([]byte, 1000)}
				out[i].Data[0] = byte(i)
			}
			if n, err := from.WriteBatch(out); n != burst || err != nil {
				t.Fatal(n, err)
			}
			want := got + burst
			for end := time.Now().Add(time.Second); got < want && time.Now().Before(end); {
				if err := in.Wait(100*time.Millisecond, func(_ int, d []Datagram) {
					for i := range d {
						if got++; len(d[i].Data) != 1000 || d[i].TOS != test.tos(int(d[i].Data[0])) {
							t.Errorf("%s: datagram %d of %d bytes came with TOS %d", test.name, d[i].Data[0], len(d[i].Data), d[i].TOS)
						}
					}
					reads += m.in.n // messages
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("%s: %d datagrams in %d pieces", test.name, got, reads)
		if got != 20*burst {
			t.Errorf("%s: %d came of %d", test.name, got, 20*burst)
		}
		if test.name == "equal" && reads > got/2 {
			t.Errorf("%s: not put together, %d pieces", test.name, reads)
		}
		if test.name == "in turns" && reads != got {
			t.Errorf("%s: put together, %d pieces", test.name, reads)
		}
	}
}

// cable joins two namespaces; what crosses waits a moment for company, as with a network card.
func cable(t *testing.T) (near, far string) {
	t.Helper()
	unable := t.Skipf
	if os.Getenv("KERNEL_LAB") == "required" {
		unable = t.Fatalf
	}
	if os.Geteuid() != 0 {
		unable("network namespaces take root")
	}
	prefix := fmt.Sprintf("udp-test-%d-", os.Getpid())
	near, far = prefix+"near", prefix+"far"
	run := func(command string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			unable("no namespaces here: ip %s: %v: %s", command, err, out)
		}
	}
	for _, namespace := range []string{near, far} {
		run("netns add " + namespace)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", namespace).Run() })
	}
	run("link add cable netns " + near + " type veth peer name cable netns " + far)
	for namespace, addr := range map[string]string{near: "192.0.2.1/24", far: "192.0.2.2/24"} {
		// A veth passes its receiver's queue by for what comes from a device that segments.
		if err := inside(namespace, func() error {
			return errors.Join(feature("cable", unix.ETHTOOL_STSO, 0), feature("cable", unix.ETHTOOL_SGRO, 1))
		}); err != nil {
			unable("offloads of a veth: %v", err)
		}
		run("-n " + namespace + " addr add " + addr + " dev cable")
		run("-n " + namespace + " link set cable up")
	}
	for name, value := range map[string]string{"napi_defer_hard_irqs": "2", "gro_flush_timeout": "2000000"} { // ns
		run("netns exec " + far + " sh -c echo${IFS}" + value + ">/sys/class/net/cable/" + name)
	}
	return near, far
}

// inside runs f on a thread that is in a namespace, and ends.
func inside(namespace string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and ends locked
		there, err := os.Open("/run/netns/" + namespace)
		if err == nil {
			defer there.Close()
			err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func listenIn(t *testing.T, namespace string, a netip.AddrPort) (c *Conn) {
	t.Helper()
	if err := inside(namespace, func() (err error) {
		c, err = Listen(a, Options{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// feature sets one of a device's features, by the ioctl of ethtool(8).
func feature(device string, command, on uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	value := struct{ command, data uint32 }{command, on}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq is larger
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}
