package matrix

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// nodePatience is how long a node may take to serve.
const nodePatience = 10 * time.Second

// node is a running pileus serve, and what its log tells.
type node struct {
	cmd    *exec.Cmd
	config string
	said   chan struct{} // closed when its log has ended

	mu         sync.Mutex
	tail       []string           // the last lines of its log
	class      map[string]verdict // by peer ID
	strategies map[[2]string]string
	changed    chan struct{} // closed, and made anew, when something came
	serving    bool
	mute       bool // it does not classify
}

// verdict is what the node found out about a client.
type verdict struct {
	Class, Mapping, Filtering, Allocation string
	Packets                               int // of probes
}

const tailLines = 10

// nodeConfig has one or both addresses of IPv4, and no limit that a matrix would
// meet.
func nodeConfig(h *kernel.Host, addresses int) string {
	config := fmt.Sprintf(`listen: ["%v:%d", "[%v]:%d"]
limits: {handshakes_per_prefix: 1000/s}
admin: {listen: ""}
log: {format: json}
`, lab.FirstNodeAddress, lab.NodePort, h.Addrs[2], lab.NodePort)
	if addresses > 1 {
		config += fmt.Sprintf("alternate: [%q]\n", lab.SecondNodeAddress)
	}
	return config
}

func startNode(ctx context.Context, h *kernel.Host, pileus string, addresses int) (*node, error) {
	f, err := os.CreateTemp("", "natlab-*.yaml")
	if err != nil {
		return nil, err
	}
	n := &node{
		config: f.Name(), said: make(chan struct{}), class: make(map[string]verdict),
		strategies: make(map[[2]string]string), changed: make(chan struct{}),
	}
	_, err = f.WriteString(nodeConfig(h, addresses))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(n.config))
	}
	n.cmd = exec.CommandContext(ctx, pileus, "serve", "--config", n.config)
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = 5 * time.Second
	log, err := n.cmd.StderrPipe()
	if err == nil {
		err = h.Start(n.cmd)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(n.config))
	}
	go func() {
		defer close(n.said)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			n.read(lines.Bytes())
		}
	}()
	if !n.wait(ctx, nodePatience, func() bool { return n.serving }) {
		n.stop()
		if ctx.Err() != nil {
			return nil, ctx.Err() // the node is not to blame
		}
		return nil, fmt.Errorf("%s serve does not serve:\n%s", pileus, strings.Join(n.tail, "\n"))
	}
	return n, nil
}

func (n *node) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	timer := time.AfterFunc(3*time.Second, func() { _ = n.cmd.Process.Kill() })
	defer timer.Stop()
	<-n.said
	_ = n.cmd.Wait() // how it ends does not matter
	_ = os.Remove(n.config)
}

// read takes a line of the node's log.
func (n *node) read(line []byte) {
	var event struct {
		Message string `json:"msg"`
		Peer    string
		verdict
		Initiator, Target, Strategy, Reason string
	}
	_ = json.Unmarshal(line, &event) // what is no event is but kept
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.tail = append(n.tail, string(line)); len(n.tail) > tailLines {
		n.tail = n.tail[1:]
	}
	switch event.Message {
	case "serving":
		n.serving = true
	case "classified":
		n.class[event.Peer] = event.verdict
	case "introduce":
		n.strategies[[2]string{event.Initiator, event.Target}] = event.Strategy
	}
	close(n.changed)
	n.changed = make(chan struct{})
}

// wait waits until what it looks at, under the lock, holds.
func (n *node) wait(ctx context.Context, patience time.Duration, holds func() bool) bool {
	timeout := time.After(patience)
	for {
		n.mu.Lock()
		ok, changed := holds(), n.changed
		n.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-n.said:
			return false
		case <-timeout:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// classes waits for the node to have classified two peers, and tells as what. A
// node that let it wait in vain, and classified nobody at all, is not waited for
// again.
func (n *node) classes(ctx context.Context, patience time.Duration, a, b string) [2]string {
	n.wait(ctx, patience, func() bool { return n.mute || n.class[a].Class != "" && n.class[b].Class != "" })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mute = len(n.class) == 0
	return [2]string{n.class[a].Class, n.class[b].Class}
}

// verdict waits for the node to have classified a peer; zero if it did not.
func (n *node) verdict(ctx context.Context, patience time.Duration, id string) verdict {
	n.wait(ctx, patience, func() bool { return n.class[id].Class != "" })
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.class[id]
}

func (n *node) strategy(initiator, target string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.strategies[[2]string{initiator, target}]
}
