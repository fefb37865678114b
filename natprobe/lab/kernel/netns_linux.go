package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// namespaces are where ip keeps them.
const namespaces = "/run/netns"

// inside runs f on a thread in a network namespace. Sockets that f opens and
// processes that it starts belong to the namespace; goroutines do not.
func inside(namespace string, f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := enter(namespace); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread stays locked: it ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// enter moves the calling thread.
func enter(namespace string) error {
	there, err := os.Open(filepath.Join(namespaces, namespace))
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot enter namespace %s: %w", namespace, err)
	}
	return nil
}

// batch feeds lines to a program, such as ip or nft, in a namespace; "" is this
// one.
func batch(namespace string, lines []string, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	run := cmd.Run
	var err error
	if namespace == "" {
		err = run()
	} else {
		err = inside(namespace, run)
	}
	if err != nil {
		return fmt.Errorf("%s in %q: %w: %s", program, namespace, err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

func ip(namespace string, lines ...string) error {
	return batch(namespace, lines, "ip", "-batch", "-")
}

func nft(namespace string, lines ...string) error {
	return batch(namespace, lines, "nft", "-f", "-")
}

// sysctl writes values below /proc/sys/net, as "ipv4/ip_forward=1".
func sysctl(namespace string, values ...string) error {
	return inside(namespace, func() error {
		for _, v := range values {
			key, value, _ := strings.Cut(v, "=")
			if err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// existing lists the namespaces whose names begin with prefix, sorted.
func existing(prefix string) ([]string, error) {
	entries, err := os.ReadDir(namespaces)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, err
}

// remove ends what runs in the namespaces, and deletes them.
func remove(names []string) error {
	var errs []error
	for _, name := range names {
		for _, pid := range processesIn(name) {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, err)
			}
		}
		if err := exec.Command("ip", "netns", "del", name).Run(); err != nil {
			if _, gone := os.Stat(filepath.Join(namespaces, name)); gone == nil {
				errs = append(errs, fmt.Errorf("cannot delete namespace %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func processesIn(namespace string) []int {
	out, err := exec.Command("ip", "netns", "pids", namespace).Output()
	if err != nil {
		return nil
	}
	var pids []int
	for _, field := range strings.Fields(string(out)) {
		var pid int
		if _, err := fmt.Sscan(field, &pid); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}
