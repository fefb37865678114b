package matrix

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// Config says what a matrix to run.
type Config struct {
	// Initiators and Targets are the kinds that call and are called, each other
	// one. A kind with two hosts also, or only, calls its own: Neighbours.
	Initiators, Targets []lab.Kind
	Neighbours          []lab.Kind

	Delay    time.Duration // of each site's line, one way; a quarter of the RTT
	Loss     float64       // 0 to 1, between any two sites
	Tries    int           // of each cell; 0 is 1
	Parallel int           // cells at once; 0 is 4
	Patience time.Duration // with a call; 0 is 5 s
	Settle   time.Duration // longest wait for the node to classify both peers; 0: none

	Pileus string // program of the node
	Peer   string // command of a peer, for sh

	Progress io.Writer // what happens, for people
}

// endpoints are the two ends of a cell in the lab: a site and one of its hosts.
type endpoints struct {
	label string
	host  int
}

// job is a cell to fill.
type job struct {
	Cell
	from, to endpoints
}

// ErrInterrupted comes with a report of what was done until then.
var ErrInterrupted = errors.New("interrupted: cells are missing")

// Run makes the network, runs the node in it, and fills every cell.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	c.Tries, c.Parallel, c.Patience = cmp.Or(c.Tries, 1), cmp.Or(c.Parallel, 4), cmp.Or(c.Patience, 5*time.Second)
	sites, cells := c.plan()
	fmt.Fprintf(c.Progress, "making and verifying %d sites, line delay %v (RTT %v), loss %.0f %%\n",
		len(sites), c.Delay, 4*c.Delay, 100*c.Loss)
	network, err := kernel.Up(ctx, kernel.Config{Sites: sites, Delay: c.Delay, Loss: c.Loss})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	node, err := startNode(ctx, network.Node(), c.Pileus)
	if err != nil {
		return nil, err
	}
	defer node.stop()
	r := &run{Config: c, network: network, node: node, busy: make(map[string]bool)}
	r.free = sync.NewCond(&r.mu)
	r.cells(ctx, cells)
	report := &Report{}
	for _, cell := range cells {
		if len(cell.Tries) > 0 {
			report.Cells = append(report.Cells, cell.Cell)
		}
	}
	if ctx.Err() != nil {
		return report, ErrInterrupted
	}
	return report, nil
}

// plan lists the sites, one for each role so that a kind can call itself, and
// the cells.
func (c *Config) plan() (sites []kernel.Site, cells []*job) {
	for _, k := range c.Initiators {
		sites = append(sites, kernel.Site{Label: "i." + k.Name, Kind: k})
	}
	for _, k := range c.Targets {
		sites = append(sites, kernel.Site{Label: "t." + k.Name, Kind: k})
	}
	for _, k := range c.Neighbours {
		sites = append(sites, kernel.Site{Label: "n." + k.Name, Kind: k})
		for from, name := range []string{"a", "b"} {
			to := 1 - from
			cells = append(cells, &job{
				Cell: Cell{Initiator: k.Name + "/" + name, Target: k.Name + "/" + []string{"a", "b"}[to]},
				from: endpoints{"n." + k.Name, from}, to: endpoints{"n." + k.Name, to},
			})
		}
	}
	for _, i := range c.Initiators {
		for _, t := range c.Targets {
			cells = append(cells, &job{
				Cell: Cell{Initiator: i.Name, Target: t.Name},
				from: endpoints{label: "i." + i.Name}, to: endpoints{label: "t." + t.Name},
			})
		}
	}
	return sites, cells
}

type run struct {
	Config
	network *kernel.Network
	node    *node

	mu   sync.Mutex
	free *sync.Cond
	busy map[string]bool // sites with a cell under way: NATs change under load
	done int
}

// cells fills all, some at once, never two at one site.
func (r *run) cells(ctx context.Context, cells []*job) {
	waiting := make([]*job, 0, len(cells)*r.Tries)
	for range r.Tries {
		waiting = append(waiting, cells...)
	}
	total := len(waiting)
	stop := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.free.Broadcast()
	})
	defer stop()
	var work sync.WaitGroup
	for range r.Parallel {
		work.Go(func() {
			for {
				cell := r.take(ctx, &waiting)
				if cell == nil {
					return
				}
				try := r.try(ctx, cell)
				if ctx.Err() != nil {
					return // what was cut short tells nothing
				}
				r.give(cell, try, total)
			}
		})
	}
	work.Wait()
}

// take waits for a cell whose sites are both free; nil if none is left.
func (r *run) take(ctx context.Context, waiting *[]*job) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(*waiting) > 0 && ctx.Err() == nil {
		i := slices.IndexFunc(*waiting, func(c *job) bool { return !r.busy[c.from.label] && !r.busy[c.to.label] })
		if i >= 0 {
			c := (*waiting)[i]
			*waiting = slices.Delete(*waiting, i, i+1)
			r.busy[c.from.label], r.busy[c.to.label] = true, true
			return c
		}
		r.free.Wait()
	}
	return nil
}

func (r *run) give(c *job, t Try, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, c.from.label)
	delete(r.busy, c.to.label)
	c.Tries = append(c.Tries, t)
	r.done++
	r.free.Broadcast()
	outcome := t.Reason
	if t.Connected {
		outcome = fmt.Sprintf("%-6s %6.1f ms  %s", t.Path, t.Millis, t.Far)
	}
	fmt.Fprintf(r.Progress, "%3d/%d  %-6s to %-6s %s\n", r.done, total, c.Initiator, c.Target,
		strings.TrimSpace(outcome+"  "+t.Strategy))
}

func (r *run) host(e endpoints) *kernel.Host { return r.network.Hosts(e.label)[e.host] }
