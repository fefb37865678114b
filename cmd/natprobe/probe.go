package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/natprobe"
	"pileus/natprobe/prober"
)

// defaultPorts are tried in turn where --server names none: RFC 5780's, and a
// node's main port.
var defaultPorts = []uint16{3478, 1935}

var jsonFlag = &cli.BoolFlag{Name: "json", Usage: "print the report as JSON; classify reads it again"}

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "test the NAT in front of this host",
		Description: `Takes about two seconds. A server with two addresses tells everything; with one
address the filter, and what other addresses see, stay unknown.

Examples:

   natprobe run --server 203.0.113.1
   natprobe run --server stun.example.org:3478 --json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "ask `HOST[:PORT]`, a pileus node or an RFC 5780 server (ports 3478 and 1935 are tried)"},
			&cli.BoolFlag{Name: "6", Usage: "ask over IPv6"},
			jsonFlag,
		},
		Action: probe,
	}
}

func probe(c *cli.Context) error {
	if c.Args().Present() {
		return usage("run takes no argument, and there is %q; see natprobe run --help", c.Args().First())
	}
	if c.String("server") == "" {
		return usage("--server is missing: natprobe run --server HOST[:PORT]")
	}
	servers, err := resolve(c.Context, c.String("server"), c.Bool("6"))
	if err != nil {
		return err
	}
	var report natprobe.Report
	for _, server := range servers {
		report, err = prober.Run(c.Context, prober.Config{Server: server})
		if !errors.Is(err, prober.ErrNoAnswer) {
			break
		}
	}
	if err != nil && !errors.Is(err, prober.ErrNoAnswer) {
		return failed(err)
	}
	return show(c, report)
}

// resolve returns the addresses to ask, one after the other until one answers.
func resolve(ctx context.Context, server string, v6 bool) ([]netip.AddrPort, error) {
	host, ports := server, defaultPorts
	if h, p, err := net.SplitHostPort(server); err == nil {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 {
			return nil, usage("--server: %q is no port", p)
		}
		host, ports = h, []uint16{uint16(port)}
	}
	network := "ip4"
	if v6 {
		network = "ip6"
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
		if err != nil {
			return nil, failed(fmt.Errorf("%s is not found: %w", host, err))
		}
		addr = addrs[0]
	}
	servers := make([]netip.AddrPort, 0, len(ports))
	for _, p := range ports {
		servers = append(servers, netip.AddrPortFrom(addr.Unmap(), p))
	}
	return servers, nil
}

func show(c *cli.Context, r natprobe.Report) error {
	write := r.WriteText
	if c.Bool(jsonFlag.Name) {
		write = func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(r)
		}
	}
	if err := write(c.App.Writer); err != nil {
		return failed(err)
	}
	return verdictOf(r)
}

func classifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "classify",
		Usage:     "read a report of run --json, and classify its observations again",
		ArgsUsage: "FILE",
		Description: `FILE is a report, or - for standard input.

Example:

   natprobe run --server 203.0.113.1 --json > site.json; natprobe classify site.json`,
		Flags:  []cli.Flag{jsonFlag},
		Action: classify,
	}
}

// maxReport is far more than a report is long, in bytes.
const maxReport = 16 << 20

func classify(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usage("classify takes one file; see natprobe classify --help")
	}
	in := io.Reader(os.Stdin)
	if name := c.Args().First(); name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return failed(err)
		}
		defer f.Close()
		in = f
	}
	var r natprobe.Report
	if err := json.NewDecoder(io.LimitReader(in, maxReport)).Decode(&r); err != nil {
		return failed(fmt.Errorf("%s is no report of natprobe: %w", c.Args().First(), err))
	}
	return show(c, natprobe.NewReport(r.Observations, r.End(), r.Notes...))
}
