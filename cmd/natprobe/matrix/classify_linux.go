package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
	"pileus/natprobe/report"
)

// ClassifyConfig says whom a node shall classify.
type ClassifyConfig struct {
	Kinds     []lab.Kind
	Tries     int // of each kind, each with a client of its own
	Copies    int // of each site, used at once
	Addresses int // of the node: 1 or 2
	Delay     time.Duration
	Loss      float64
	Settle    time.Duration // longest wait for the node's word on one client
	Deaf      bool          // Peer answers no introductions

	Pileus, Peer string
	// Probe is the program natprobe, whose run tests the network of the site, and is asked
	// in the node's place. Empty: the node is, about Peer.
	Probe    string
	Progress io.Writer
}

// maxVisits bounds the clients at once: each takes some two seconds, and a node
// logs no more than 20 of its verdicts a second.
const maxVisits = 32

// Classify runs a node, and at sites of each kind one client after the other,
// and counts what the node takes them for.
func Classify(ctx context.Context, c ClassifyConfig) (_ *ClassReport, err error) {
	sites := make([]kernel.Site, 0, c.Copies*len(c.Kinds))
	for i := range c.Copies {
		for _, k := range c.Kinds {
			sites = append(sites, kernel.Site{Label: fmt.Sprintf("c%d.%s", i, k.Name), Kind: k})
		}
	}
	fmt.Fprintf(c.Progress, "making and verifying %d sites, line delay %v (RTT %v), loss %.0f %%\n", len(sites), c.Delay, 4*c.Delay, 100*c.Loss)
	network, err := kernel.Up(ctx, kernel.Config{Sites: sites, Delay: c.Delay, Loss: c.Loss})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	node, err := startNode(ctx, network.Node(), c.Pileus, c.Addresses)
	if err != nil {
		return nil, err
	}
	defer node.stop()

	report := &ClassReport{Sites: make([]Classes, len(c.Kinds))}
	for i, k := range c.Kinds {
		report.Sites[i] = Classes{Site: k.Name, Right: rightClass(k, c.Deaf), Counts: make(map[string]int), Details: make(map[string]int)}
	}
	turns := make(chan struct{}, maxVisits)
	var mu sync.Mutex
	var work sync.WaitGroup
	for i, s := range sites {
		row := &report.Sites[i%len(c.Kinds)]
		work.Go(func() {
			for try := i / len(c.Kinds); try < c.Tries && ctx.Err() == nil; try += c.Copies {
				turns <- struct{}{}
				v, err := c.visit(ctx, network.Hosts(s.Label)[0], node)
				<-turns
				if ctx.Err() != nil {
					return // what was cut short tells nothing
				}
				mu.Lock()
				row.Tries++
				row.Counts[v.Class]++
				if v.Class != "" {
					row.Details[fmt.Sprintf("%s, %s, %s", v.Mapping, v.Filtering, v.Allocation)]++
				}
				row.Packets = max(row.Packets, v.Packets)
				fmt.Fprintf(c.Progress, "%-6s %3d/%d  %s\n", s.Kind.Name, row.Tries, c.Tries, outcome(v.Class, err))
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		return report, ErrInterrupted
	}
	return report, nil
}

func outcome(class string, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case class == "":
		return "the node did not say"
	}
	return class
}

// visit has a client connect, and is what the node takes it for; or has the host test
// its network.
func (c *ClassifyConfig) visit(ctx context.Context, h *kernel.Host, n *node) (verdict, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c.Probe != "" {
		return probe(ctx, h, c.Probe)
	}
	p, err := startPeer(ctx, h, c.Peer)
	if err != nil {
		return verdict{}, err
	}
	defer p.stop()
	if err := p.ready(); err != nil {
		return verdict{}, err
	}
	return n.verdict(ctx, c.Settle, p.id), nil
}

// probe runs natprobe at a site.
func probe(ctx context.Context, h *kernel.Host, program string) (verdict, error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "run", "--quick", "--json", "--server", lab.FirstNodeAddress.String())
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := h.Start(cmd); err != nil {
		return verdict{}, err
	}
	ended := cmd.Wait() // the exit code is part of the verdict
	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return verdict{}, fmt.Errorf("natprobe run: %w: %s", errors.Join(ended, err), complaints.String())
	}
	v := verdict{
		Class: r.Class.String(), Mapping: r.Behavior.Mapping.String(), Filtering: r.Behavior.Filtering.String(),
		Allocation: r.Behavior.Allocation.String(),
	}
	for _, e := range r.Trace {
		if e.Sent {
			v.Packets++
		}
	}
	return v, nil
}
