package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A process is the server under load, as /proc shows it. The zero value is one
// of which nothing is known.
type process struct {
	pid  int
	cmd  *exec.Cmd // if it is ours to stop
	said *tail
}

// cpu returns the CPU time used so far, by all threads that still live.
func (p process) cpu() (time.Duration, error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.pid))
	if err != nil {
		return 0, errServerGone
	}
	var sum time.Duration
	for _, t := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", p.pid, t.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that ended meanwhile
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("schedstat: %w", err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// resident returns the resident memory in bytes.
func (p process) resident() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0, errServerGone
	}
	_, after, ok := bytes.Cut(b, []byte("VmRSS:"))
	if !ok {
		return 0, errServerGone // a zombie has none
	}
	kb, err := strconv.Atoi(string(bytes.Fields(after)[0]))
	return kb << 10, err
}

// start runs a server on core 0, when there is another core for the load.
func start(ctx context.Context, command string) (process, error) {
	return startPiped(ctx, command, nil, nil)
}

// startPiped is start for a server that reads and writes something; nil is
// nothing.
func startPiped(ctx context.Context, command string, stdin io.Reader, stdout io.Writer) (process, error) {
	argv := strings.Fields(command)
	if len(argv) == 0 {
		return process{}, errors.New("empty server command")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	said := new(tail)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, said

	// A child inherits the affinity of the thread that forks it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return process{}, err
	}
	if runtime.NumCPU() > 1 {
		if err := unix.SchedSetaffinity(0, only(0)); err != nil {
			return process{}, err
		}
		defer func() { _ = unix.SchedSetaffinity(0, &old) }()
	}
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	return process{pid: cmd.Process.Pid, cmd: cmd, said: said}, nil
}

// why adds to an error what the server said, if it has gone.
func (p process) why(err error) error {
	if _, gone := p.resident(); err == nil || p.cmd == nil || gone == nil {
		return err
	}
	return fmt.Errorf("%w: %w; it said: %s", err, errServerGone, p.said)
}

// A tail keeps the end of what a process writes.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const maxTail = 2 << 10 // bytes

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if over := len(t.last) - maxTail; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.last))
}

// stop ends a server that start began.
func (p process) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(unix.SIGINT)
	kill := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	_ = p.cmd.Wait() // its exit status says nothing: it was told to go
}

// pinSelf moves all threads of this process to core 1, if there is one. Threads
// to come inherit it.
func pinSelf() error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, only(1)); err != nil {
			return err
		}
	}
	return nil
}

func only(core int) *unix.CPUSet {
	var s unix.CPUSet
	s.Set(core)
	return &s
}
