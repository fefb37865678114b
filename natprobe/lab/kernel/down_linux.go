package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// stopGrace is what a process gets to take down its network.
const stopGrace = 10 * time.Second

// Down ends every lab on this machine: those whose process runs are asked to,
// what others left behind is removed. It tells how many namespaces there were.
func Down() (int, error) { return down(Prefix) }

// down ends the labs whose namespaces' names begin with prefix.
func down(prefix string) (int, error) {
	if err := Available(); err != nil {
		return 0, err
	}
	names, err := existing(prefix)
	if err != nil {
		return 0, err
	}
	var errs []error
	ids := make(map[string]bool)
	for _, name := range names {
		id, _, _ := strings.Cut(strings.TrimPrefix(name, Prefix), "-")
		ids[id] = true
	}
	for id := range ids {
		errs = append(errs, end(id))
	}
	left, err := existing(prefix)
	errs = append(errs, err, remove(left))
	for id := range ids {
		if err := os.Remove(lockFile(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return len(names), errors.Join(errs...)
}

// end asks the process of a network to end, if it is there: the lock tells, for
// the number may be another's by now.
func end(id string) error {
	number, _, _ := strings.Cut(id, ".")
	pid, err := strconv.Atoi(number)
	if err != nil || !held(id) {
		return nil //nolint:nilerr // not a network of ours: nobody to ask
	}
	if pid == os.Getpid() {
		return nil
	}
	if err := unix.Kill(pid, unix.SIGTERM); err != nil {
		return fmt.Errorf("cannot end process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(stopGrace); held(id); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end its lab", pid)
		}
	}
	return nil
}

func held(id string) bool {
	f, err := os.OpenFile(lockFile(id), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Running lists the hosts of every lab on this machine, with their namespaces.
func Running() ([]Host, error) {
	names, err := existing(Prefix)
	var hosts []Host
	for _, name := range names {
		parts := strings.Split(strings.TrimPrefix(name, Prefix), "-")
		if len(parts) != 3 || !held(parts[0]) {
			continue
		}
		h := Host{Site: parts[1], Namespace: name}
		switch parts[2] {
		case "host":
		case "a", "b":
			h.Name = parts[2]
		default:
			continue // a router
		}
		hosts = append(hosts, h)
	}
	return hosts, err
}

// Exec replaces this program by another one, in a namespace.
func Exec(namespace, path string, args, env []string) error {
	return inside(namespace, func() error { return unix.Exec(path, args, env) })
}
