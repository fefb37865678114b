package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/natprobe/lab"
)

// defaultDelay of each line makes an RTT of 40 ms between sites.
const defaultDelay = 10 * time.Millisecond

func labCommand() *cli.Command {
	return &cli.Command{
		Name:  "lab",
		Usage: "make networks to test in (Linux, root)",
		Description: `Real NATs and firewalls in network namespaces, and an exact one in user space for
what Linux cannot do. Each site is probed before it is used. Nothing in a lab
reaches this machine's own network, or is reached from it.

   natprobe lab up --site N4 --site N5        a node, a home router, a symmetric NAT
   natprobe lab exec node pileus serve        in one terminal
   natprobe lab exec N4 pileus peer --server rtmfp://192.0.2.1/
   natprobe lab down

   natprobe lab matrix --pileus ./pileus      everybody calls everybody
   natprobe lab classify --pileus ./pileus    what a node takes everybody for

The node is at 192.0.2.1 and 192.0.2.2. The kinds of sites:

` + kindsText(),
		Subcommands: []*cli.Command{labUpCommand(), labExecCommand(), labDownCommand(), labMatrixCommand(), labClassifyCommand(), labPeerCommand()},
	}
}

func kindsText() string {
	var b strings.Builder
	for _, k := range lab.Kinds() {
		fmt.Fprintf(&b, "   %-5s %s\n", k.Name, k.Text)
	}
	return strings.TrimRight(b.String(), "\n")
}

func labUpCommand() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "make a network, and leave it there until down",
		Description: `Examples:

   natprobe lab up --site N4 --site N4 --site N6     the second N4 is called N4.2
   natprobe lab up --site alice=N4 --site bob=N9 --loss 5%`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "site", Usage: "have a site of `KIND`, or NAME=KIND; repeatable"},
			delayFlag(), lossFlag(),
			&cli.BoolFlag{Name: "stay", Usage: "stay until Ctrl-C, which takes the network down"},
		},
		Action: labUp,
	}
}

func labExecCommand() *cli.Command {
	return &cli.Command{
		Name:            "exec",
		Usage:           "run a program in a site",
		ArgsUsage:       "SITE COMMAND [ARGUMENT...]",
		Description:     "SITE is a name that up printed: node, N4, or N9/b for the second host of a site with two.",
		SkipFlagParsing: true, // they are the command's
		Action:          labExec,
	}
}

func labDownCommand() *cli.Command {
	return &cli.Command{
		Name:        "down",
		Usage:       "end every lab on this machine, and remove what crashed ones left",
		Description: "Programs that run in a lab are ended.",
		Action:      labDown,
	}
}

func labMatrixCommand() *cli.Command {
	return &cli.Command{
		Name:  "matrix",
		Usage: "let peers of every kind of site call peers of every other",
		Description: `Runs a node with two addresses, and for each ordered pair of sites two peers, of
which one opens a session with the other. Sites with two hosts also call within.

Another peer than the built-in one: --peer COMMAND runs in sh, in a site, with
PILEUS_SERVER=rtmfp://192.0.2.1/natprobe/lab/matrix in its environment. It
connects and prints, a line each, PEERID and its peer ID in hexadecimal digits,
then READY. At a line CONNECT PEERID on its standard input it calls that peer,
and prints CONNECTED far=ADDRESS:PORT ms=NUMBER, or FAIL reason=WORDS. One that
printed READY echo then has the other answer something over the session, and prints
ECHO ms=NUMBER: so sessions show that are open and dead. It ends with its standard
input. With --called COMMAND another program is called, which need
not obey CONNECT.

Examples:

   natprobe lab matrix --pileus ./pileus
   natprobe lab matrix --site N4 --site N6 --loss 10% --tries 20
   natprobe lab matrix --from N5 --to N4 --to N8 --json
   natprobe lab matrix --settle 0 --tries 5                 # called as soon as both are there
   natprobe lab matrix --site N5 --cross --tries 50         # both call each other
   natprobe lab matrix --site N5 --stall 200ms..900ms --tries 20`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "site", Usage: "have `KIND` call and be called; repeatable (default: N0 to N8, N4i, N11)"},
			&cli.StringSliceFlag{Name: "from", Usage: "have `KIND` call; repeatable"},
			&cli.StringSliceFlag{Name: "to", Usage: "have `KIND` be called; repeatable"},
			delayFlag(), lossFlag(),
			&cli.DurationFlag{Name: "called-extra", Usage: "hold packets for `TIME` more on the lines of those who are called"},
			&cli.Float64Flag{Name: "noise", Usage: "have others behind each site's NAT open `N` flows a second"},
			&cli.IntFlag{Name: "tries", Value: 1, Usage: "call `N` times in each cell"},
			&cli.IntFlag{Name: "copies", Value: 1, Usage: "have each site `N` times, to try one cell several times at once"},
			addressesFlag(),
			&cli.IntFlag{Name: "parallel", Value: 4, Usage: "fill `N` cells at once, never two at one site"},
			&cli.DurationFlag{Name: "patience", Value: 5 * time.Second, Usage: "a call fails after `TIME`"},
			&cli.DurationFlag{Name: "settle", Value: 4 * time.Second, Usage: "wait up to `TIME` for the node to classify both peers; 0: call in the breath in which they connect"},
			&cli.DurationFlag{Name: "age", Usage: "have the peer that is called be connected for `TIME` when the other comes and calls it at once"},
			&cli.BoolFlag{Name: "cross", Usage: "have both call each other"},
			&cli.StringFlag{Name: "stall", Usage: "have one of the two stand still for a `TIME` such as 200ms..900ms while they start: initiator and target in turn"},
			&cli.DurationFlag{Name: "retry", Usage: "first repeat of a startup packet by the built-in peer after `TIME` (default: 250ms)"},
			pileusFlag(),
			&cli.StringFlag{Name: "peer", Usage: "run `COMMAND` as a peer"},
			&cli.StringFlag{Name: "called", Usage: "run `COMMAND` as the peer that is called (default: as --peer)"},
			jsonFlag,
		},
		Action: labMatrix,
	}
}

func labClassifyCommand() *cli.Command {
	return &cli.Command{
		Name:  "classify",
		Usage: "count what a node takes the clients of every kind of site for",
		Description: `Runs a node, and at each site one client after the other. Exit code 1 means that
one was taken for what it is not; "unknown" is not wrong.

Examples:

   natprobe lab classify --pileus ./pileus --tries 50 --loss 10%
   natprobe lab classify --site N3 --site N4 --addresses 1      # what one address cannot tell
   natprobe lab classify --run --tries 50 --loss 10%            # what natprobe run says itself
   natprobe lab classify --site N4 --deaf                       # clients with peer-to-peer off`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "site", Usage: "have clients at `KIND`; repeatable (default: N0 to N8, N4i, N11, N11s, N12)"},
			delayFlag(), lossFlag(),
			&cli.IntFlag{Name: "tries", Value: 10, Usage: "have `N` clients at each kind of site"},
			&cli.IntFlag{Name: "copies", Value: 2, Usage: "have each site `N` times, used at once"},
			addressesFlag(),
			&cli.DurationFlag{Name: "settle", Value: 15 * time.Second, Usage: "wait up to `TIME` for the node's word"},
			&cli.BoolFlag{Name: "run", Usage: "count what natprobe run takes its own network for, instead"},
			&cli.BoolFlag{Name: "deaf", Usage: "have clients that answer no introductions"},
			pileusFlag(),
			jsonFlag,
		},
		Action: labClassify,
	}
}

// labPeerCommand is the peer of the matrix, which runs this program again.
func labPeerCommand() *cli.Command {
	return &cli.Command{
		Name: "peer", Hidden: true, Action: labPeer,
		Flags: []cli.Flag{&cli.DurationFlag{Name: "retry"}, &cli.BoolFlag{Name: "deaf"}},
	}
}

func delayFlag() cli.Flag {
	return &cli.DurationFlag{Name: "delay", Value: defaultDelay, Usage: "hold packets for `TIME` on each site's line: a quarter of the round trip between sites"}
}

func addressesFlag() cli.Flag {
	return &cli.IntFlag{Name: "addresses", Value: 2, Usage: "give the node `N` addresses, 1 or 2"}
}

func pileusFlag() cli.Flag {
	return &cli.StringFlag{Name: "pileus", Usage: "run the node with the program at `PATH` (default: beside this one, or as found)"}
}

func lossFlag() cli.Flag {
	return &cli.StringFlag{Name: "loss", Usage: "lose a `SHARE` of the packets between any two sites, such as 10%"}
}

// share reads 10% or 0.1.
func share(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(number, 64)
	if percent {
		f /= 100
	}
	if err != nil || f < 0 || f > 1 {
		return 0, usage("--loss: %q is not a share such as 10%%", s)
	}
	return f, nil
}
