package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A relayBench is one run of RunRelay.
type relayBench struct {
	cfg    RelayConfig
	wires  *wires // nil: Turn alone, from here
	report report
	direct map[int]flight // without a relay, by burst
	steady map[int]int    // the rate at which all relays are compared, by burst
	found  map[string]int // the rate that each held last
	marks  uint64         // of flights so far
	began  time.Time
	notes  []string // of what bounded a figure
}

// A relayTarget is a relay to be measured.
type relayTarget struct {
	name    string
	command string // "": it runs already
	config  string // file, removed at the end
	splice  bool   // instead of TURN
	server  netip.AddrPort
	user    string
	secret  string
	here    bool // loaded from this namespace
	pid     int
}

// RunRelay measures relays in turns and writes the results. It ends by itself
// and leaves no namespace behind. It needs root, for namespaces of its own,
// unless only a server that runs already is measured.
func RunRelay(ctx context.Context, cfg RelayConfig) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	b := newRelayBench(cfg)
	if err := pinSelf(); err != nil {
		return fmt.Errorf("moving to core 1: %w", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if len(b.cfg.Targets) > 0 {
		if b.wires, err = newWires(); err != nil {
			return err
		}
		defer b.wires.remove()
	}
	targets, err := b.targets()
	defer func() {
		for _, t := range targets {
			_ = os.Remove(t.config)
		}
	}()
	if err != nil {
		return err
	}
	b.describe()
	for round := 1; round <= b.cfg.Rounds; round++ {
		for _, p := range b.patterns() {
			if err := b.round(ctx, round, p, targets); err != nil {
				return err
			}
		}
	}
	return b.conclude()
}

func newRelayBench(cfg RelayConfig) *relayBench {
	return &relayBench{
		cfg: cfg.withDefaults(), marks: firstMark, began: time.Now(),
		direct: make(map[int]flight), steady: make(map[int]int), found: make(map[string]int),
	}
}

// A pattern is in which order the pairs send.
type pattern struct {
	name  string
	burst int
}

func (b *relayBench) patterns() []pattern {
	return []pattern{{"interleaved", 1}, {fmt.Sprintf("bursts of %d", b.cfg.Burst), b.cfg.Burst}}
}

// conclude writes the medians, and what they do not say.
func (b *relayBench) conclude() error {
	if !b.cfg.JSON {
		if err := b.report.table(b.cfg.Results); err != nil {
			return err
		}
	}
	slices.Sort(b.notes)
	for _, n := range slices.Compact(b.notes) {
		fmt.Fprintf(b.cfg.Progress, "note: %s\n", n)
	}
	for _, m := range b.report.medians() {
		if times, ok := m.value(valueTimes); ok && times < enoughTimes {
			fmt.Fprintf(b.cfg.Progress, "note: %s, %s: the load reached %.2f times the lossless rate, not twice: the share retained there says nothing of twice\n",
				m.Measurement, m.Server, times)
		}
		if !b.cfg.JSON {
			continue
		}
		if err := json.NewEncoder(b.cfg.Results).Encode(m); err != nil {
			return err
		}
	}
	return nil
}

// enoughTimes the lossless rate counts as twice.
const enoughTimes = 1.9

func (b *relayBench) describe() {
	fmt.Fprintf(b.cfg.Progress, "%d pairs, %d-byte payloads, bursts of 1 (interleaved) and of %d; half of the pairs send each way\n",
		b.cfg.Pairs, b.cfg.Size, b.cfg.Burst)
	if b.wires == nil {
		return
	}
	cores := "the relay and what its network stack receives on core 0, the load on core 1"
	if runtime.NumCPU() < 2 {
		cores = "ONE CORE FOR RELAY AND LOAD: figures say little"
	}
	fmt.Fprintf(b.cfg.Progress, "veth cables in namespaces %s*; every packet crosses alone; %s\n", b.wires.prefix, cores)
	fmt.Fprintln(b.cfg.Progress, "charged to a relay: its threads, and the kernel threads that receive for it; not to it: the load's sending and receiving.")
	fmt.Fprintln(b.cfg.Progress, "rates and CPU time: frames from packet sockets, counted and dropped below IP. Delays: ordinary sockets.")
}

const (
	ownPort   = 3478
	portsEach = 10 // for servers that take a second one beside
	benchUser = "bench"
)

func (b *relayBench) targets() ([]relayTarget, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var out []relayTarget
	for i, t := range b.cfg.Targets {
		// All run at once, each at a port of its own.
		at := netip.AddrPortFrom(netip.MustParseAddr(relayIP), uint16(ownPort+portsEach*i))
		r := relayTarget{splice: t == "splice", server: at, user: benchUser, secret: benchUser}
		name, command, own := strings.Cut(t, "=")
		switch {
		case own:
		case t == "splice":
			command = self + " bench " + SpliceCommand
		case t == "turn":
			if r.config, err = writeConfig(at.Port()); err != nil {
				return out, err
			}
			command = self + " serve --config " + r.config
		case t == "pion":
			command = self + " bench " + PionCommand + " {ip}:{port} {user} {password}"
		case t == "coturn":
			command = coturn
		}
		r.name = name
		r.command = strings.NewReplacer("{ip}", relayIP, "{port}", strconv.Itoa(int(at.Port())), "{user}", benchUser, "{password}", benchUser).Replace(command)
		out = append(out, r)
	}
	if b.cfg.Turn.IsValid() {
		out = append(out, relayTarget{
			name: b.cfg.Turn.String(), server: b.cfg.Turn, user: b.cfg.User, secret: b.cfg.Password, here: true, pid: b.cfg.PID,
		})
	}
	return out, nil
}

// coturn takes one relay thread: it has one core.
const coturn = "turnserver -n --listening-ip {ip} --relay-ip {ip} --listening-port {port} --lt-cred-mech --user {user}:{password} " +
	"--realm bench -m 1 --no-tls --no-dtls --no-cli --log-file /dev/null --pidfile /dev/null"

// nodeConfig is of a node that has TURN at a port and nothing else to do.
const nodeConfig = `listen: ["%[1]s:1935"]
probe: {ports: ""}
relay: {ports: "", allow_onlink: [198.51.100.0/24]}
stun: {ports: []}
turn: {listen: ["%[1]s:%[2]d"], tls: {listen: []}, users: {%[3]s: %[3]s}}
limits: {allocations: {peer: 0, prefix: 0, total: 0}}
admin: {listen: ""}
log: {level: error}
`

// writeConfig makes a file of nodeConfig, which the caller removes.
func writeConfig(port uint16) (name string, err error) {
	f, err := os.CreateTemp("", "pileus-bench-*.yaml")
	if err != nil {
		return "", err
	}
	if _, err = fmt.Fprintf(f, nodeConfig, relayIP, port, benchUser); err == nil {
		err = f.Close()
	}
	return f.Name(), err
}

// fly is fly with a mark that no other flight had.
func (b *relayBench) fly(ctx context.Context, c carrier, rate, burst int, d time.Duration) (flight, error) {
	b.marks++
	return fly(ctx, c, b.marks, rate, burst, d)
}

// flyDirect measures the way without a relay, through its kernel alone.
func (b *relayBench) flyDirect(ctx context.Context, near, far []int, burst int) (flight, error) {
	all := make([]lane, len(near))
	for i := range all {
		out, in := near[i], far[i]
		if i%2 == 1 {
			out, in = in, out
		}
		to, err := localOf(in)
		if err != nil {
			return flight{}, err
		}
		all[i] = lane{out: out, to: rawSockaddr(to), in: in}
	}
	l, err := newLanes(all, b.cfg.Size, burst, b.wires)
	if err != nil {
		return flight{}, err
	}
	defer l.close()
	f, err := b.fly(ctx, l, b.cfg.Rate, burst, time.Second)
	if err == nil && f.received == 0 {
		err = errors.New("nothing crosses the cables: does a firewall drop forwarded packets?")
	}
	fmt.Fprintf(b.cfg.Progress, "  without a relay, %d/s in bursts of %d: p50 %v, p99 %v\n", b.cfg.Rate, burst, f.quantile(0.5).Round(time.Microsecond), f.quantile(0.99).Round(time.Microsecond))
	return f, err
}

// sourceTo returns the address from which packets to a server leave.
func sourceTo(server netip.AddrPort) (netip.Addr, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: server.Addr().As4(), Port: int(server.Port())}); err != nil {
		return netip.Addr{}, err
	}
	local, err := localOf(fd)
	return local.Addr(), err
}
