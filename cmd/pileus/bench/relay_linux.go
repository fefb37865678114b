package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A relayBench is one run of RunRelay.
type relayBench struct {
	cfg       RelayConfig
	wires     *wires // nil: Turn alone, from here
	config    string // file of nodeConfig
	near, far []int  // sockets
	report    report
	direct    map[int]flight // without a relay, by burst
}

// A relayTarget is a relay to be measured.
type relayTarget struct {
	name    string
	command string // "": it runs already
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
	b := &relayBench{cfg: cfg.withDefaults(), direct: make(map[int]flight)}
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
	if b.config, err = writeConfig(); err != nil {
		return err
	}
	defer func() { _ = os.Remove(b.config) }()
	targets, err := b.targets()
	if err != nil {
		return err
	}
	b.describe()
	for round := 1; round <= b.cfg.Rounds; round++ {
		for _, t := range targets {
			if err := b.round(ctx, round, t); err != nil {
				return err
			}
		}
	}
	if !b.cfg.JSON {
		return b.report.table(b.cfg.Results)
	}
	for _, m := range b.report.medians() {
		if err := json.NewEncoder(b.cfg.Results).Encode(m); err != nil {
			return err
		}
	}
	return nil
}

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
}

const (
	ownPort   = 3478
	benchUser = "bench"
)

func (b *relayBench) targets() ([]relayTarget, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	known := map[string]string{
		"splice": self + " bench " + SpliceCommand,
		"turn":   self + " serve --config " + b.config,
		"pion":   self + " bench " + PionCommand + " {ip}:{port} {user} {password}",
		"coturn": coturn,
	}
	var out []relayTarget
	at := netip.AddrPortFrom(netip.MustParseAddr(relayIP), ownPort)
	for _, t := range b.cfg.Targets {
		name, command, own := strings.Cut(t, "=")
		if !own {
			command = known[name]
		}
		command = strings.NewReplacer("{ip}", relayIP, "{port}", strconv.Itoa(ownPort), "{user}", benchUser, "{password}", benchUser).Replace(command)
		out = append(out, relayTarget{name: name, command: command, splice: t == "splice", server: at, user: benchUser, secret: benchUser})
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

// nodeConfig is of a node that has TURN and nothing else to do.
var nodeConfig = fmt.Sprintf(`listen: ["%[1]s:1935"]
turn: {listen: ["%[1]s:%[2]d"], tls: {listen: []}, users: {%[3]s: %[3]s}}
limits: {allocations: {peer: 0, prefix: 0, total: 0}}
admin: {listen: ""}
log: {level: error}
`, relayIP, ownPort, benchUser)

// writeConfig makes the file of nodeConfig, which the caller removes.
func writeConfig() (name string, err error) {
	f, err := os.CreateTemp("", "pileus-bench-*.yaml")
	if err != nil {
		return "", err
	}
	if _, err = f.WriteString(nodeConfig); err == nil {
		err = f.Close()
	}
	return f.Name(), err
}

// round does all measurements of one target once.
func (b *relayBench) round(ctx context.Context, round int, t relayTarget) error {
	fmt.Fprintf(b.cfg.Progress, "round %d of %d: %s\n", round, b.cfg.Rounds, t.name)
	for _, p := range []struct {
		name  string
		burst int
	}{{"interleaved", 1}, {fmt.Sprintf("bursts of %d", b.cfg.Burst), b.cfg.Burst}} {
		res := Result{Measurement: p.name, Server: t.name, Round: round}
		var err error
		if res.Values, err = b.pattern(ctx, t, p.burst); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			fmt.Fprintf(b.cfg.Progress, "  %s failed: %v\n", p.name, err)
			res.Error = err.Error()
		}
		b.report.add(res)
		if b.cfg.JSON {
			if err := json.NewEncoder(b.cfg.Results).Encode(res); err != nil {
				return err
			}
		}
	}
	return nil
}

// pattern loads a fresh relay.
func (b *relayBench) pattern(ctx context.Context, t relayTarget, burst int) (values []Value, err error) {
	near, far := "", ""
	nearAddr, farAddr := netip.MustParseAddr(nearIP), netip.MustParseAddr(farIP)
	if t.here {
		if nearAddr, err = sourceTo(t.server); err != nil {
			return nil, err
		}
		farAddr = nearAddr
	} else {
		near, far = b.wires.namespace("near"), b.wires.namespace("far")
	}
	b.near, err = sockets(near, nearAddr, b.cfg.Pairs)
	defer func() { closeAll(b.near) }()
	if err != nil {
		return nil, err
	}
	b.far, err = sockets(far, farAddr, b.cfg.Pairs)
	defer func() { closeAll(b.far) }()
	if err != nil {
		return nil, err
	}
	if _, known := b.direct[burst]; !known && !t.here {
		if b.direct[burst], err = b.flyDirect(ctx, burst); err != nil {
			return nil, err
		}
	}
	server, all, err := b.start(ctx, t)
	defer func() {
		err = server.why(err)
		server.stop()
	}()
	if err != nil {
		return nil, err
	}
	l, err := newLanes(all, b.cfg.Size)
	if err != nil {
		return nil, err
	}
	defer l.close()
	m := relayMeasurement{bench: b, ctx: ctx, lanes: l, burst: burst, server: server, wired: !t.here}
	return m.all()
}

// start runs a relay, unless it runs, and opens the pairs.
func (b *relayBench) start(ctx context.Context, t relayTarget) (server process, all []lane, err error) {
	command := "ip netns exec " + b.namespaceOf(t) + " " + t.command
	switch {
	case t.splice:
		return startSplices(ctx, command, b.near, b.far)
	case t.here:
		server.pid = t.pid
	default:
		if server, err = start(ctx, command); err != nil {
			return server, nil, err
		}
	}
	all, err = turnLanes(b.near, b.far, t.server, t.user, t.secret, b.cfg.Size)
	return server, all, err
}

func (b *relayBench) namespaceOf(t relayTarget) string {
	if t.here {
		return ""
	}
	return b.wires.namespace("relay")
}

// flyDirect measures the way without a relay, through its kernel alone.
func (b *relayBench) flyDirect(ctx context.Context, burst int) (flight, error) {
	all := make([]lane, len(b.near))
	for i := range all {
		out, in := b.near[i], b.far[i]
		if i%2 == 1 {
			out, in = in, out
		}
		to, err := localOf(in)
		if err != nil {
			return flight{}, err
		}
		all[i] = lane{out: out, to: rawSockaddr(to), in: in}
	}
	l, err := newLanes(all, b.cfg.Size)
	if err != nil {
		return flight{}, err
	}
	defer l.close()
	f, err := l.fly(ctx, b.cfg.Rate, burst, stepTime)
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
