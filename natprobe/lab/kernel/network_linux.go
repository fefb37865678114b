package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"pileus/natprobe/lab"
)

// Prefix begins the name of every namespace of every lab.
const Prefix = "natlab-"

// MaxSites is how many sites a network has room for: each has a /24 of its own.
const MaxSites = 250

// Config says what network to make.
type Config struct {
	Sites []Site
	Delay time.Duration // of each site's line, one way: half of it is a quarter of the RTT of two sites
	Loss  float64       // share of packets lost between any two sites, 0 to 1, once all sites are verified
	Seed  uint64        // of the NATs in user space
}

// Site asks for one site. Its label names it, its kind if empty; labels are
// unique.
type Site struct {
	Label string
	Kind  lab.Kind
	Extra time.Duration // of its line, one way, beyond Config.Delay
}

// Network is a running lab.
type Network struct {
	id       string
	lock     *os.File
	internet *internet
	node     *Host
	sites    []*site
	closed   atomic.Bool
}

type site struct {
	Site
	index int // from 1
	hosts []*Host
}

// Host is where programs of a site run; the node is one too.
type Host struct {
	Site      string // label
	Name      string // "", or a and b where a site has two
	Namespace string
	Addrs     []netip.Addr // its own
}

// String is how to call the host: "N4", or "N9/a".
func (h *Host) String() string {
	if h.Name == "" {
		return h.Site
	}
	return h.Site + "/" + h.Name
}

// ErrNotRoot and others say what is missing to make networks here.
var (
	ErrNotRoot = errors.New("network namespaces need root")
	ErrNoTools = errors.New("a lab needs the programs ip (package iproute2) and nft (package nftables)")
	ErrNoTUN   = errors.New("a lab needs TUN devices: there is no /dev/net/tun")
)

// Available reports whether networks can be made here, and if not, why.
func Available() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			return ErrNoTools
		}
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return ErrNoTUN
	}
	return nil
}

var (
	labels   = regexp.MustCompile(`^[A-Za-z0-9.]{1,32}$`)
	instance atomic.Int64 // of the networks of this process
)

func (c *Config) validate() error {
	if len(c.Sites) > MaxSites {
		return fmt.Errorf("%d sites, there is room for %d", len(c.Sites), MaxSites)
	}
	if c.Delay < 0 || c.Loss < 0 || c.Loss > 1 {
		return errors.New("delay and loss cannot be below 0, nor loss above 1")
	}
	seen := map[string]bool{nodeLabel: true}
	for _, s := range c.Sites {
		if !labels.MatchString(s.Label) || seen[s.Label] {
			return fmt.Errorf("the label %q is malformed, or there twice", s.Label)
		}
		seen[s.Label] = true
	}
	return nil
}

const nodeLabel = "node"

// Up makes a network, and probes every site to verify that it is what it should
// be. It cleans up if that fails or ctx ends.
func Up(ctx context.Context, c Config) (_ *Network, err error) {
	if err := Available(); err != nil {
		return nil, err
	}
	for i := range c.Sites {
		if c.Sites[i].Label == "" {
			c.Sites[i].Label = c.Sites[i].Kind.Name
		}
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	n := &Network{id: fmt.Sprintf("%d.%d", os.Getpid(), instance.Add(1)), internet: newInternet(c.Delay)}
	if n.lock, err = hold(n.id); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := n.buildNode(); err != nil {
		return nil, err
	}
	for i, asked := range c.Sites {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s := &site{Site: asked, index: i + 1}
		if err := n.build(s, c.Seed+uint64(i)); err != nil {
			return nil, fmt.Errorf("site %s: %w", s.Label, err)
		}
		n.sites = append(n.sites, s)
	}
	if err := n.verify(ctx); err != nil {
		return nil, err
	}
	n.internet.setLoss(c.Loss)
	return n, nil
}

// Node is the host where the node is to run, with two IPv4 and two IPv6
// addresses.
func (n *Network) Node() *Host { return n.node }

// Hosts are those of a site; none if there is no such site.
func (n *Network) Hosts(label string) []*Host {
	for _, s := range n.sites {
		if s.Label == label {
			return s.hosts
		}
	}
	return nil
}

// Dropped counts the packets that got lost on purpose, had nowhere to go, or
// did not fit on a line.
func (n *Network) Dropped() (lost, unroutable, overflown uint64) {
	i := n.internet
	return i.lost.Load(), i.unroutable.Load(), i.overflown.Load()
}

// Close ends what runs in the namespaces, and removes them.
func (n *Network) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	names, err := existing(Prefix + n.id + "-")
	err = errors.Join(err, remove(names), n.internet.close())
	return errors.Join(err, os.Remove(n.lock.Name()), n.lock.Close())
}

// Do runs f on a thread in the host's namespace: sockets opened there are the
// host's.
func (h *Host) Do(f func() error) error { return inside(h.Namespace, f) }

// Start starts a program in the host. It does not outlive this process.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	return inside(h.Namespace, cmd.Start)
}

// lockDirectory has a file for each network, locked by the process it belongs
// to.
const lockDirectory = "/run"

func lockFile(id string) string { return filepath.Join(lockDirectory, Prefix+id+".lock") }

func hold(id string) (*os.File, error) {
	f, err := os.OpenFile(lockFile(id), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
