package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"pileus/natprobe/responder"
	"pileus/rtmfp/udp"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "answer other hosts' natprobe (a STUN server of RFC 5780)",
		Description: `For a host that everybody reaches and on which no node runs: pileus serve answers
the same questions. Two public addresses tell askers everything; with one, who is
let in stays unknown to them. Ends with Ctrl-C.

Examples:

   natprobe serve
   natprobe serve --address 203.0.113.1 --address 203.0.113.2`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "address", Usage: "answer at `ADDRESS`; the first two of a family are each other's second address (default: this host's)"},
			&cli.IntFlag{Name: "port", Value: 3478, Usage: "answer at `PORT` and the next one"},
		},
		Action: serveSTUN,
	}
}

func serveSTUN(c *cli.Context) error {
	if c.Args().Present() {
		return usage("serve takes no argument, and there is %q; did you mean --address %[1]s?", c.Args().First())
	}
	port := c.Int("port")
	if port < 1 || port > 0xffff-1 {
		return usage("--port: %d and the next are no ports", port)
	}
	addrs, err := ownAddresses(c.StringSlice("address"))
	if err != nil {
		return err
	}
	config := responder.Config{Addrs: addrs, Ports: [2]uint16{uint16(port), uint16(port + 1)}}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGTERM)
	defer stop()
	r, err := responder.New(ctx, config)
	if err != nil {
		return failed(err)
	}
	names := make([]string, 0, len(addrs))
	for _, a := range addrs {
		names = append(names, a.String())
	}
	fmt.Fprintf(c.App.Writer, "answering at %s, ports %d and %d, UDP and TCP\nopen them in the firewall; then elsewhere: natprobe run --server %s\n",
		strings.Join(names, ", "), port, port+1, netip.AddrPortFrom(addrs[0], uint16(port)))
	if r.Streams() < 2*len(addrs) {
		fmt.Fprintln(c.App.ErrWriter, "natprobe: TCP is in use by others at some of these ports; UDP is answered at all")
	}
	err = r.Serve(ctx)
	s := r.Stats()
	fmt.Fprintf(c.App.ErrWriter, "natprobe: %d answered, %d over the limit of their network, %d not understood\n", s.Answered, s.Limited, s.Malformed)
	if err != nil && ctx.Err() == nil { // ctx ends with the command's, too
		return failed(err)
	}
	return nil
}

// ownAddresses reads those named, or finds this host's.
func ownAddresses(names []string) ([]netip.Addr, error) {
	addrs := make([]netip.Addr, 0, len(names))
	for _, name := range names {
		a, err := netip.ParseAddr(name)
		if err != nil {
			return nil, usage("--address: %q is no address", name)
		}
		addrs = append(addrs, a.Unmap())
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	all, err := udp.Expand(netip.AddrPort{})
	if err != nil {
		return nil, failed(err)
	}
	for _, a := range all {
		if !a.Addr().IsLoopback() {
			addrs = append(addrs, a.Addr())
		}
	}
	if len(addrs) == 0 {
		return nil, failed(errors.New("this host has no address but loopback; name one with --address"))
	}
	return addrs, nil
}
