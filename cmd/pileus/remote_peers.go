package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/api"
	"pileus/natprobe"
)

func peersCommand() *cli.Command {
	return &cli.Command{
		Name:      "peers",
		Usage:     "list the peers of a running node, 1000 at most, or tell about one",
		ArgsUsage: "[PEER]",
		Description: `PEER is a peer ID, or as much of its beginning as tells it from others. What
--timeline prints is kinds, sizes and addresses of packets, the latest 256, and why
one was dropped; what they say is noted nowhere. The first time starts it; it ends by
itself after ten minutes without another.` + examples("peers", "peers 3fa9", "peers --timeline 3fa9"),
		Flags: remoteFlags(
			&cli.BoolFlag{Name: "timeline", Usage: "note the packets of PEER for ten minutes from now, and print those noted so far"},
			&cli.BoolFlag{Name: "forget", Usage: "end the timeline of PEER"},
		),
		Action: func(c *cli.Context) error {
			switch timeline, forget := c.Bool("timeline"), c.Bool("forget"); {
			case c.NArg() > 1:
				return usage("peers takes one PEER, after the flags, and there is %q as well", c.Args().Get(1))
			case c.NArg() == 0 && (timeline || forget):
				return usage("of which peer? See %s peers --help", call())
			case timeline && forget:
				return usage("--timeline and --forget at once")
			}
			r, err := newRemote(c)
			if err != nil {
				return err
			}
			if c.NArg() == 0 {
				return show(c, r, http.MethodGet, "/peers?limit=1000", showPeers)
			}
			id, err := r.peer(c, c.Args().First())
			if err != nil {
				return err
			}
			switch path := "/peers/" + id; {
			case c.Bool("forget"):
				_, err := r.call(c, http.MethodDelete, path+"/timeline", nil)
				return err
			case c.Bool("timeline"):
				return show(c, r, http.MethodPost, path+"/timeline", showTimeline)
			default:
				return show(c, r, http.MethodGet, path, showPeer)
			}
		},
	}
}

// peer is the ID that begins so.
func (r *remote) peer(c *cli.Context, beginning string) (string, error) {
	beginning = strings.ToLower(beginning)
	const idDigits = 64
	if len(beginning) > idDigits || strings.Trim(beginning, "0123456789abcdef") != "" {
		return "", usage("%q is no peer ID, nor the beginning of one: hexadecimal digits, as %s peers lists them", beginning, call())
	}
	if len(beginning) == idDigits {
		return beginning, nil
	}
	answer, err := r.call(c, http.MethodGet, "/peers?limit=2&after="+url.QueryEscape(beginning), nil)
	if err != nil {
		return "", err
	}
	var l api.PeerList
	if err := json.Unmarshal(answer, &l); err != nil {
		return "", errVersion(err)
	}
	is := func(i int) bool { return len(l.Peers) > i && strings.HasPrefix(l.Peers[i].ID, beginning) }
	switch {
	case !is(0):
		return "", fmt.Errorf("no peer's ID begins with %s; see %s peers", beginning, call())
	case is(1):
		return "", fmt.Errorf("the IDs of several peers begin with %s; write more of it", beginning)
	}
	return l.Peers[0].ID, nil
}

func showPeers(w io.Writer, l api.PeerList) {
	if l.Total == 0 {
		fmt.Fprintln(w, "nobody is connected")
		return
	}
	fmt.Fprintln(w, "ID\tTENANT\tAPP\tNAME\tADDRESS\tCLASS\tSINCE")
	for _, p := range l.Peers {
		fmt.Fprintf(w, "%s\t%s\t%.40q\t%.40q\t%v\t%v\t%s\n", p.ID, p.Tenant, p.App, p.Name, p.Address, p.Class, p.Since.Local().Format(time.DateTime))
	}
	if l.Next != "" {
		fmt.Fprintf(w, "and %d more\n", l.Total-len(l.Peers))
	}
}

func showPeer(w io.Writer, p api.PeerDetail) {
	reported := make([]string, len(p.Reported))
	for i, a := range p.Reported {
		reported[i] = a.String()
	}
	fmt.Fprintf(w, "id\t%s\ntenant\t%s\napplication\t%.80q\nnames\t%q\n", p.ID, p.Tenant, p.App, p.Names)
	fmt.Fprintf(w, "address\t%v, connected to %v\nsays it is at\t%s\n", p.Address, p.Local, strings.Join(reported, " "))
	fmt.Fprintf(w, "round trip\t%.1f ms\nsince\t%s\n", p.RTTMilliseconds, p.Since.Local().Format(time.DateTime))
	state := ""
	if p.Probing {
		state = ", being probed"
	}
	fmt.Fprintf(w, "nat\t%v%s\n", p.Class, state)
	if b := p.Behavior; b != nil {
		known := func(name string, f natprobe.Finding) {
			fmt.Fprintf(w, "  %s\t%v (%d of %d)\n", name, f.Answer, f.Hits, f.Tries)
		}
		fmt.Fprintf(w, "  mapping\t%v\n  filtering\t%v\n", b.Mapping, b.Filtering)
		known("public address", b.Public)
		known("hairpin", b.Hairpin)
		known("answers introductions", b.AnswersIntroductions)
	}
	for _, o := range p.Observations {
		seen := ""
		if o.Seen.IsValid() {
			seen = fmt.Sprintf(", seen as %v", o.Seen)
		}
		fmt.Fprintf(w, "%s\t%v at %v: %d of %d%s\n", o.At.Local().Format(time.TimeOnly), o.Kind, o.Node, o.Hits, o.Tries, seen)
	}
}

func showTimeline(w io.Writer, l api.Timeline) {
	if len(l.Packets) == 0 {
		fmt.Fprintf(w, "nothing yet; packets are noted until %s: ask again\n", l.Until.Local().Format(time.TimeOnly))
		return
	}
	if more := l.Total - uint64(len(l.Packets)); more > 0 {
		fmt.Fprintf(w, "%d earlier ones are not kept\n", more)
	}
	fmt.Fprintln(w, "TIME\t\tADDRESS\tBYTES\tVERDICT\tCHUNKS")
	for _, p := range l.Packets {
		way, chunks := "from", make([]string, 0, len(p.Chunks))
		if p.Sent {
			way = "to"
		}
		for _, c := range p.Chunks {
			if c.Count > 1 {
				chunks = append(chunks, fmt.Sprintf("%d×%s", c.Count, c.Type))
			} else {
				chunks = append(chunks, c.Type)
			}
		}
		if p.More {
			chunks = append(chunks, "…")
		}
		if len(chunks) == 0 && p.Startup {
			chunks = append(chunks, "(startup)")
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%s\t%s\n", p.Time.Local().Format("15:04:05.000"), way, p.Peer, p.Bytes, p.Verdict, strings.Join(chunks, " "))
	}
	fmt.Fprintf(w, "noted until %s\n", l.Until.Local().Format(time.TimeOnly))
}

// show asks and shows the answer.
func show[T any](c *cli.Context, r *remote, method, path string, in func(w io.Writer, v T)) error {
	answer, err := r.call(c, method, path, nil)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		_, err = c.App.Writer.Write(answer)
		return err
	}
	var v T
	if err := json.Unmarshal(answer, &v); err != nil {
		return errVersion(err)
	}
	table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
	in(table, v)
	return table.Flush()
}

func errVersion(err error) error {
	return fmt.Errorf("the node's answer is of another version: %w", err)
}
