package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cable is two network namespaces, of a node and of its clients, joined by a cable. Their addresses are
// public, as far as a TURN server can tell.
type cable struct{ node, client string }

const (
	cableNode    = "198.51.100.1"
	cableClients = "198.51.100.2"
)

func newCable(t *testing.T) cable {
	t.Helper()
	c := cable{fmt.Sprintf("turn%d-n", os.Getpid()), fmt.Sprintf("turn%d-c", os.Getpid())}
	t.Cleanup(func() {
		for _, ns := range []string{c.node, c.client} {
			_ = exec.Command("ip", "netns", "del", ns).Run()
		}
	})
	for _, command := range []string{
		"ip netns add " + c.node,
		"ip netns add " + c.client,
		"ip link add veth0 netns " + c.node + " type veth peer name veth0 netns " + c.client,
		"ip -n " + c.node + " addr add " + cableNode + "/24 dev veth0",
		"ip -n " + c.client + " addr add " + cableClients + "/24 dev veth0",
		"ip -n " + c.node + " link set lo up",
		"ip -n " + c.client + " link set lo up",
		"ip -n " + c.node + " link set veth0 up",
		"ip -n " + c.client + " link set veth0 up",
	} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	return c
}

// in is a command that runs in a namespace and ends with the test.
func in(ctx context.Context, ns string, words ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", ns}, words...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 5 * time.Second
	return c
}

// serve runs a node in its namespace until ctx ends.
func (c cable) serve(ctx context.Context, t *testing.T, settings string) {
	t.Helper()
	node := in(ctx, c.node, os.Args[0], "serve", "--config", config(t, settings), "--admin", "")
	node.Env = append(os.Environ(), asProgram+"=1")
	banner, err := node.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Process.Signal(syscall.SIGTERM); _ = node.Wait() })
	for lines := bufio.NewScanner(banner); ; {
		if !lines.Scan() {
			t.Fatal("serve ended without a banner")
		}
		if strings.HasPrefix(lines.Text(), "  stop") {
			break
		}
	}
}

// needs skips a test that lacks root or one of programs, which are given with their packages.
func needs(t *testing.T, programs map[string]string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: network namespaces need root")
	}
	for program, pkg := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not installed (apt-get install %s)", program, pkg)
		}
	}
}
