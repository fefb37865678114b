package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/natprobe/matrix"
	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// Whoever runs in the background says detachedReady, and nothing after it.
const (
	detachedVariable = "NATPROBE_LAB_DETACHED"
	detachedReady    = "ready"
)

// untilTold ends also with what else ends programs: a lab must be taken down.
func untilTold(c *cli.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

func labUp(c *cli.Context) error {
	if c.Args().Present() {
		return usage("lab up takes no argument, and there is %q; did you mean --site %[1]s?", c.Args().First())
	}
	config, err := networkConfig(c)
	if err != nil {
		return err
	}
	if err := kernel.Available(); err != nil {
		return failed(err)
	}
	if err := notTwice(config.Sites); err != nil {
		return err
	}
	ctx, stop := untilTold(c)
	defer stop()
	detached := os.Getenv(detachedVariable) != ""
	if !c.Bool("stay") && !detached {
		return detach(ctx, c.App.Writer, c.App.ErrWriter)
	}
	network, err := kernel.Up(ctx, config)
	if err != nil {
		return failed(err)
	}
	describe(c.App.Writer, network, config.Sites)
	if detached {
		fmt.Fprintln(c.App.Writer, detachedReady)
	} else {
		fmt.Fprintln(c.App.ErrWriter, "Ctrl-C takes it down")
	}
	<-ctx.Done()
	if err := network.Close(); err != nil {
		return failed(err)
	}
	return nil
}

func networkConfig(c *cli.Context) (kernel.Config, error) {
	config := kernel.Config{Delay: c.Duration("delay")}
	var err error
	if config.Loss, err = share(c.String("loss")); err != nil {
		return config, err
	}
	if len(c.StringSlice("site")) == 0 {
		return config, usage("--site is missing: natprobe lab up --site N4; see natprobe lab --help for the kinds")
	}
	used := make(map[string]int)
	for _, s := range c.StringSlice("site") {
		label, name, named := strings.Cut(s, "=")
		if !named {
			name = s
		}
		k, err := kindNamed(name)
		if err != nil {
			return config, err
		}
		if used[label]++; used[label] > 1 {
			label = fmt.Sprintf("%s.%d", label, used[label])
		}
		config.Sites = append(config.Sites, kernel.Site{Label: label, Kind: k})
	}
	return config, nil
}

// notTwice refuses names that exec could not tell apart.
func notTwice(sites []kernel.Site) error {
	running, err := kernel.Running()
	if err != nil {
		return failed(err)
	}
	for _, s := range sites {
		if slices.ContainsFunc(running, func(h kernel.Host) bool { return h.Site == s.Label }) {
			return failed(fmt.Errorf("there is a site %s already; take it down with natprobe lab down, or call this one by another name, --site NAME=%s", s.Label, s.Kind.Name))
		}
	}
	return nil
}

func describe(w io.Writer, n *kernel.Network, sites []kernel.Site) {
	line := func(h *kernel.Host, text string) {
		addrs := make([]string, 0, len(h.Addrs))
		for _, a := range h.Addrs {
			addrs = append(addrs, a.String())
		}
		fmt.Fprintf(w, "%-8s %-48s %s\n", h, text, strings.Join(addrs, " "))
	}
	line(n.Node(), "the node")
	for _, s := range sites {
		for _, h := range n.Hosts(s.Label) {
			line(h, s.Kind.Name+": "+s.Kind.Text)
		}
	}
}

// detach runs this command line again in the background, and returns when the
// network is there.
func detach(ctx context.Context, stdout, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return failed(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), detachedVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return failed(err)
	}
	var complaints strings.Builder
	problems, err := cmd.StderrPipe()
	if err != nil {
		return failed(err)
	}
	if err := cmd.Start(); err != nil {
		return failed(err)
	}
	unwatch := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer unwatch()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == detachedReady {
			fmt.Fprintln(stderr, "up; take it down with: natprobe lab down")
			return nil
		}
		fmt.Fprintln(stdout, lines.Text())
	}
	_, _ = io.Copy(&complaints, problems) // what could be read is all there is to say
	_ = cmd.Wait()                        // it said why
	if ctx.Err() != nil {
		return failed(errors.New("interrupted; nothing is left behind"))
	}
	fmt.Fprint(stderr, complaints.String())
	return &program.ExitError{Code: exitUnsure}
}

func labExec(c *cli.Context) error {
	if c.NArg() < 2 || strings.HasPrefix(c.Args().First(), "-") {
		return usage("natprobe lab exec SITE COMMAND [ARGUMENT...]")
	}
	if err := kernel.Available(); err != nil {
		return failed(err)
	}
	running, err := kernel.Running()
	if err != nil {
		return failed(err)
	}
	namespace, err := find(running, c.Args().First())
	if err != nil {
		return err
	}
	path, err := exec.LookPath(c.Args().Get(1))
	if err != nil {
		return failed(err)
	}
	return failed(kernel.Exec(namespace, path, c.Args().Tail(), os.Environ()))
}

// find is the namespace of a host by its name, by its site's, or by the
// namespace's own.
func find(running []kernel.Host, name string) (string, error) {
	var found []string
	names := make([]string, 0, len(running))
	for _, h := range running {
		first := h.Name == "" || h.Name == "a"
		if h.Namespace == name || h.String() == name || h.Site == name && first {
			found = append(found, h.Namespace)
		}
		names = append(names, h.String())
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", failed(fmt.Errorf("%s could be any of %s: use one of these names", name, strings.Join(found, ", ")))
	case len(names) == 0:
		return "", failed(errors.New("no lab is up; make one with natprobe lab up --site N4"))
	}
	return "", failed(fmt.Errorf("there is no site %q; there are %s", name, strings.Join(names, ", ")))
}

func labDown(c *cli.Context) error {
	if c.Args().Present() {
		return usage("lab down takes no argument, and there is %q", c.Args().First())
	}
	count, err := kernel.Down()
	if err != nil {
		return failed(err)
	}
	fmt.Fprintf(c.App.ErrWriter, "%d network namespaces removed\n", count)
	return nil
}

func labMatrix(c *cli.Context) error {
	config, err := matrixConfig(c)
	if err != nil {
		return err
	}
	_, err = inLab(c, func(ctx context.Context) (*matrix.Report, error) { return matrix.Run(ctx, config) })
	return err
}

// table is a report of what was done in a lab.
type table interface {
	comparable
	WriteTable(w io.Writer)
}

// inLab does what takes a lab, and shows the report of it, which is also there if ctx ends.
func inLab[T table](c *cli.Context, do func(context.Context) (T, error)) (report T, err error) {
	if err := kernel.Available(); err != nil {
		return report, failed(err)
	}
	ctx, stop := untilTold(c)
	defer stop()
	report, err = do(ctx)
	var none T
	if report != none && c.Bool("json") {
		err = errors.Join(err, json.NewEncoder(c.App.Writer).Encode(report))
	} else if report != none {
		report.WriteTable(c.App.Writer)
	}
	if err != nil {
		return report, failed(err)
	}
	return report, nil
}

// everybody is whom a matrix has, unless told.
var everybody = []string{"N0", "N1", "N2", "N3", "N4", "N4i", "N5", "N6", "N7", "N8", "N11"}

func matrixConfig(c *cli.Context) (matrix.Config, error) {
	if c.Args().Present() {
		return matrix.Config{}, usage("lab matrix takes no argument, and there is %q", c.Args().First())
	}
	config := matrix.Config{
		Delay: c.Duration("delay"), CalledExtra: c.Duration("called-extra"), Tries: c.Int("tries"), Parallel: c.Int("parallel"),
		Patience: c.Duration("patience"), Settle: c.Duration("settle"), Age: c.Duration("age"), Cross: c.Bool("cross"), Noise: c.Float64("noise"), Copies: c.Int("copies"), Addresses: c.Int("addresses"), Progress: c.App.ErrWriter,
		Pileus: c.String("pileus"), Peer: c.String("peer"), Called: c.String("called"),
	}
	if config.Tries < 1 || config.Parallel < 1 || config.Copies < 1 || config.Patience <= 0 || config.Settle < 0 || config.Age < 0 || config.CalledExtra < 0 || config.Delay < 0 || config.Noise < 0 || config.Noise > 1000 || config.Addresses < 1 || config.Addresses > 2 {
		return config, usage("--tries, --copies, --parallel and --patience must be above 0, --settle, --age, --delay and --called-extra not below, --noise 0 to 1000, --addresses 1 or 2")
	}
	var err error
	if config.Loss, err = share(c.String("loss")); err != nil {
		return config, err
	}
	if config.Stall, err = span(c.String("stall")); err != nil {
		return config, err
	}
	if err := matrixSites(c, &config); err != nil {
		return config, err
	}
	if config.Pileus == "" {
		if config.Pileus, err = findPileus(); err != nil {
			return config, err
		}
	}
	if config.Peer == "" {
		self, err := os.Executable()
		if err != nil {
			return config, failed(err)
		}
		config.Peer = ownPeer(self, c.Duration("retry"), false)
	} else if c.IsSet("retry") {
		return config, usage("--retry is for the built-in peer, and there is --peer")
	}
	return config, nil
}

func matrixSites(c *cli.Context, config *matrix.Config) error {
	both := c.StringSlice("site")
	if len(both) == 0 && !c.IsSet("from") && !c.IsSet("to") {
		both = everybody
	}
	kinds, err := kindsNamed(both)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if k.Hosts > 1 {
			config.Neighbours = append(config.Neighbours, k)
			continue
		}
		config.Initiators = append(config.Initiators, k)
		config.Targets = append(config.Targets, k)
	}
	from, err := kindsNamed(append(slices.Clone(both), c.StringSlice("from")...))
	if err != nil {
		return err
	}
	to, err := kindsNamed(append(slices.Clone(both), c.StringSlice("to")...))
	if err != nil {
		return err
	}
	if c.IsSet("from") != c.IsSet("to") && len(both) == 0 {
		return usage("--from and --to go together, or with --site")
	}
	if c.IsSet("from") || c.IsSet("to") {
		config.Initiators, config.Targets = from, to
	}
	return nil
}

func findPileus() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "pileus")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath("pileus")
	if err != nil {
		return "", usage("there is no program pileus to run the node with; build it (go build ./cmd/pileus) and say --pileus ./pileus")
	}
	return path, nil
}

func labPeer(c *cli.Context) error {
	config := matrix.PeerConfig{Server: os.Getenv(matrix.ServerVariable), Retry: c.Duration("retry"), Deaf: c.Bool("deaf")}
	if config.Server == "" {
		return usage("%s is not set: this is what lab matrix runs", matrix.ServerVariable)
	}
	if err := matrix.RunPeer(c.Context, config, os.Stdin, c.App.Writer); err != nil {
		return failed(err)
	}
	return nil
}

func kindNamed(name string) (lab.Kind, error) {
	k, ok := lab.KindNamed(name)
	if !ok {
		kinds := lab.Kinds()
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = k.Name
		}
		return k, usage("there is no kind %q; there are %s", name, strings.Join(names, ", "))
	}
	return k, nil
}

func kindsNamed(names []string) ([]lab.Kind, error) {
	var kinds []lab.Kind
	for _, name := range names {
		k, err := kindNamed(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(kinds, func(other lab.Kind) bool { return other.Name == k.Name }) {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// span reads 200ms..900ms, or one time for both.
func span(s string) (times [2]time.Duration, err error) {
	if s == "" {
		return times, nil
	}
	first, last, several := strings.Cut(s, "..")
	if !several {
		last = first
	}
	for i, text := range []string{first, last} {
		if times[i], err = time.ParseDuration(text); err != nil {
			break
		}
	}
	if err != nil || times[0] <= 0 || times[1] < times[0] {
		return times, usage("--stall: %q is not a time such as 300ms, or a range such as 200ms..900ms", s)
	}
	return times, nil
}
