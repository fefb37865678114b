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

	Delay time.Duration // of each site's line, one way; a quarter of the RTT
	Loss  float64       // 0 to 1, between any two sites
	// CalledExtra is how much longer the lines of those are that are called.
	CalledExtra time.Duration
	Tries       int // of each cell; 0 is 1
	Copies      int // of each site, for tries of one cell at once; 0 is 1
	// Addresses is how many addresses of IPv4 the node has, 1 or 2; 0 is 2.
	Addresses int
	Parallel  int           // cells at once; 0 is 4
	Patience  time.Duration // with a call; 0 is 5 s
	Settle    time.Duration // longest wait for the node to classify both peers; 0: none
	// Age is how long the peer that is called has been connected when the other comes and
	// calls it at once; 0: both connect at one time, and wait for Settle.
	Age time.Duration
	// Cross has both call each other, within crossWithin.
	Cross bool
	// Stall is for how long one of the two, each in turn, stands still while they start;
	// zero: nobody does.
	Stall [2]time.Duration

	// Noise is how many flows a second others open behind each site's NAT.
	Noise float64

	Pileus string // program of the node
	Peer   string // command of a peer, for sh
	Called string // the same of one that is called, if it is another

	Progress io.Writer // what happens, for people
}

// ErrInterrupted comes with a report of what was done until then.
var ErrInterrupted = errors.New("interrupted: cells are missing")

// Run makes the network, runs the node in it, and fills every cell.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	c.Tries, c.Parallel, c.Patience = cmp.Or(c.Tries, 1), cmp.Or(c.Parallel, 4), cmp.Or(c.Patience, 5*time.Second)
	c.Copies = min(cmp.Or(c.Copies, 1), c.Tries)
	sites, cells, jobs := c.plan()
	fmt.Fprintf(c.Progress, "making and verifying %d sites, line delay %v (RTT %v), loss %.0f %%\n",
		len(sites), c.Delay, 4*c.Delay, 100*c.Loss)
	network, err := kernel.Up(ctx, kernel.Config{Sites: sites, Delay: c.Delay, Loss: c.Loss})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	node, err := startNode(ctx, network.Node(), c.Pileus, cmp.Or(c.Addresses, 2))
	if err != nil {
		return nil, err
	}
	defer node.stop()
	var others sync.WaitGroup
	defer others.Wait()
	noisy, quiet := context.WithCancel(ctx)
	defer quiet()
	if c.Noise > 0 {
		for _, s := range sites {
			others.Go(func() { noise(noisy, network.Hosts(s.Label)[0], c.Noise) })
		}
	}
	r := &run{Config: c, network: network, node: node, busy: make(map[string]bool)}
	r.free = sync.NewCond(&r.mu)
	r.all(ctx, jobs)
	report := &Report{}
	for _, cell := range cells {
		if len(cell.Tries) > 0 {
			report.Cells = append(report.Cells, *cell)
		}
	}
	if ctx.Err() != nil {
		return report, ErrInterrupted
	}
	return report, nil
}

type run struct {
	Config
	network *kernel.Network
	node    *node

	mu   sync.Mutex
	free *sync.Cond
	busy map[string]bool // sites with a job under way: NATs change under load
	done int
}

// all does the jobs, some at once, never two at one site.
func (r *run) all(ctx context.Context, waiting []*job) {
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
				job := r.take(ctx, &waiting)
				if job == nil {
					return
				}
				try := r.try(ctx, job)
				if ctx.Err() != nil {
					return // what was cut short tells nothing
				}
				r.give(job, try, total)
			}
		})
	}
	work.Wait()
}

// take waits for a job whose sites are both free; nil if none is left.
func (r *run) take(ctx context.Context, waiting *[]*job) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(*waiting) > 0 && ctx.Err() == nil {
		i := slices.IndexFunc(*waiting, func(j *job) bool { return !r.busy[j.from.label] && !r.busy[j.to.label] })
		if i >= 0 {
			j := (*waiting)[i]
			*waiting = slices.Delete(*waiting, i, i+1)
			r.busy[j.from.label], r.busy[j.to.label] = true, true
			return j
		}
		r.free.Wait()
	}
	return nil
}

func (r *run) give(j *job, t Try, total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.busy, j.from.label)
	delete(r.busy, j.to.label)
	c := j.cell
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

func (r *run) host(e endpoint) *kernel.Host { return r.network.Hosts(e.label)[e.host] }
