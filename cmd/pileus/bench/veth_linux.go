package bench

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// wires are a relay's machine and two others, each with a cable to it: network
// namespaces and veth pairs. A relay that is loaded over loopback, or over a
// plain veth, is flattered: there, the sender's core does the receiver's work in
// the network stack. Here each end of a cable has a kernel thread that does it,
// as an interrupt would, on that end's core; and no packet crosses a cable in
// company, so that who sends a burst in one piece pays for taking it apart.
type wires struct {
	prefix   string // of the namespaces' names
	kernel   []int  // the threads that receive for the relay
	created  []string
	counting bool // see carry
}

// Addresses of the three, TEST-NET-2 and -3 (RFC 5737): a relay may refuse
// private ones.
const (
	relayIP = "198.51.100.1"
	nearIP  = "198.51.100.2"
	farIP   = "203.0.113.2"
	farGate = "203.0.113.1" // the relay's end of the far cable
)

// At most one interrupt comes in this time. interruptGap is what network cards
// use by default, or less, busyGap what they come to under load; the ends of a
// load that only counts have no need of more than in countGap.
const (
	interruptGap = 30 * time.Microsecond
	busyGap      = 125 * time.Microsecond
	countGap     = 500 * time.Microsecond
)

func newWires() (w *wires, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("bench relay makes network namespaces: run it as root")
	}
	w = &wires{prefix: fmt.Sprintf("pileus-bench-%d-", os.Getpid())}
	defer func() {
		if err != nil {
			w.remove()
		}
	}()
	for _, role := range []string{"relay", "near", "far"} {
		if err := ip("netns add " + w.namespace(role)); err != nil {
			return w, err
		}
		w.created = append(w.created, role)
		if err := ip("-n " + w.namespace(role) + " link set lo up"); err != nil {
			return w, err
		}
	}
	for i, end := range ends {
		if err := w.cable(i, end); err != nil {
			return w, err
		}
	}
	// The way from one load to the other without a relay, for comparison.
	return w, w.write("relay", "/proc/sys/net/ipv4/ip_forward", "1")
}

func (w *wires) namespace(role string) string { return w.prefix + role }

// An end of the relay's cables.
type end struct{ role, gate, addr string }

var ends = [2]end{{"near", relayIP, nearIP}, {"far", farGate, farIP}}

// What a hardware address is of, on each cable.
const (
	ofRelay = iota
	ofLoad
	ofNobody
)

// hardware is an address of the locally administered kind.
func hardware(cable int, of byte) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0, 0, 0, byte(cable), of}
}

// cable joins an end to the relay.
func (w *wires) cable(i int, e end) error {
	relay, load := w.namespace("relay"), w.namespace(e.role)
	at := "to-" + e.role
	for _, command := range []string{
		fmt.Sprintf("link add %s address %v netns %s type veth peer name cable address %v netns %s", at, hardware(i, ofRelay), relay, hardware(i, ofLoad), load),
		fmt.Sprintf("-n %s link set %s gso_max_segs 1", relay, at),
		fmt.Sprintf("-n %s link set dev cable gso_max_segs 1", load),
		fmt.Sprintf("-n %s addr add %s/24 dev %s", relay, e.gate, at),
		fmt.Sprintf("-n %s addr add %s/24 dev cable", load, e.addr),
		fmt.Sprintf("-n %s link set %s up", relay, at),
		fmt.Sprintf("-n %s link set dev cable up", load),
		fmt.Sprintf("-n %s neigh add %s lladdr %v dev %s nud permanent", relay, e.addr, hardware(i, ofLoad), at),
		fmt.Sprintf("-n %s route add default via %s", load, e.gate),
	} {
		if err := ip(command); err != nil {
			return err
		}
	}
	own, err := w.thread("relay", at, 0)
	if err != nil {
		return err
	}
	w.kernel = append(w.kernel, own)
	_, err = w.thread(e.role, "cable", 1)
	return err
}

// carry makes the wires ready for a load that only counts what comes, or for
// one that receives it.
//
// The former has the load's ends take packets for somebody else's: each has been
// counted where it is tapped (counter), and IP drops it before anything else is
// done with it. The relay keeps sending to the address it knows. And interrupts
// are fewer, as network cards make them under load.
func (w *wires) carry(counting bool) error {
	if w.counting == counting {
		return nil
	}
	var of byte = ofLoad
	relayGap, loadGap := interruptGap, interruptGap
	if counting {
		of, relayGap, loadGap = ofNobody, busyGap, countGap
	}
	for i, e := range ends {
		if err := errors.Join(
			ip(fmt.Sprintf("-n %s link set dev cable address %v", w.namespace(e.role), hardware(i, of))),
			w.interruptEvery("relay", "to-"+e.role, relayGap),
			w.interruptEvery(e.role, "cable", loadGap),
		); err != nil {
			return err
		}
	}
	w.counting = counting
	return nil
}

func (w *wires) interruptEvery(role, device string, gap time.Duration) error {
	return w.write(role, "/sys/class/net/"+device+"/gro_flush_timeout", strconv.Itoa(int(gap)))
}

// thread gives a device a kernel thread for what it receives, on a core of its
// own if there are two.
func (w *wires) thread(role, device string, core int) (pid int, err error) {
	before := napiThreads()
	if err := inNamespace(w.namespace(role), func() error { return interrupts(device) }); err != nil {
		return 0, fmt.Errorf("offloads of %s: %w", device, err)
	}
	if err := errors.Join(
		w.write(role, "/sys/class/net/"+device+"/threaded", "1"),
		w.interruptEvery(role, device, interruptGap),
		w.write(role, "/sys/class/net/"+device+"/napi_defer_hard_irqs", "1"),
	); err != nil {
		return 0, err
	}
	for id := range napiThreads() {
		if before[id] {
			continue
		}
		if runtime.NumCPU() > 1 {
			if err := unix.SchedSetaffinity(id, only(core)); err != nil {
				return 0, err
			}
		}
		priority := atOnce
		return id, unix.SchedSetAttr(id, &priority, 0)
	}
	return 0, fmt.Errorf("this kernel has no thread for what %s receives: threaded NAPI came with Linux 5.12", device)
}

// atOnce is the priority of an interrupt.
var atOnce = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}

// flooded says whether more comes for the relay than its core can take. Then
// Linux leaves receiving to ksoftirqd, which has its share of the core like
// anybody else: a flood does not starve the relay.
func (w *wires) flooded(yes bool) error {
	priority := atOnce
	if yes {
		priority = unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: groupNice() + halfWeight,
			// The shortest slice makes it the next to run. Kernels before 6.12 ignore it.
			Runtime: uint64(100 * time.Microsecond),
		}
	}
	for _, id := range w.kernel {
		if err := unix.SchedSetAttr(id, &priority, 0); err != nil {
			return err
		}
	}
	return nil
}

// halfWeight, in steps of nice: two threads receive here, a core has one ksoftirqd.
const halfWeight = 3

// groupNice is the weight that the processes started from here have beside
// kernel threads, which are in no group.
func groupNice() int32 {
	b, err := os.ReadFile("/proc/self/autogroup")
	if _, nice, ok := bytes.Cut(b, []byte(" nice ")); err == nil && ok {
		if n, err := strconv.Atoi(string(bytes.TrimSpace(nice))); err == nil {
			return int32(n)
		}
	}
	return 0
}

// interrupts makes a veth receive as other devices do. It has NAPI only with
// generic receive offload; and what a socket sent from a device with TCP
// segmentation offload passes NAPI by.
func interrupts(device string) error {
	return errors.Join(feature(device, unix.ETHTOOL_SGRO, 1), feature(device, unix.ETHTOOL_STSO, 0))
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

func napiThreads() map[int]bool {
	threads := make(map[int]bool)
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !bytes.HasPrefix(b, []byte("napi/")) {
			continue
		}
		if id, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			threads[id] = true
		}
	}
	return threads
}

// kernelTime is the CPU time used to receive for the relay.
func (w *wires) kernelTime() (sum time.Duration, err error) {
	for _, id := range w.kernel {
		t, err := process{pid: id}.cpu()
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// remove deletes everything. Processes in the namespaces have to be gone.
func (w *wires) remove() {
	for _, role := range w.created {
		_ = ip("netns del " + w.namespace(role)) // what is left is seen in /run/netns
	}
	w.created = nil
}

// write writes a file as a process in the namespace sees it.
func (w *wires) write(role, name, value string) error {
	cmd := exec.Command("ip", "netns", "exec", w.namespace(role), "tee", name)
	cmd.Stdin = strings.NewReader(value)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

func ip(command string) error {
	out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return nil
}

// inNamespace runs f on a thread in a network namespace; "" is this one. The
// sockets that f opens stay there. The thread is not used again.
func inNamespace(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	done := make(chan error)
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
