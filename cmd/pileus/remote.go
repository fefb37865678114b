package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/pileus/api"
	"pileus/configs/plain"
)

// These commands speak to a node that runs, over its API.

func remoteFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "node", Value: "http://127.0.0.1:8935", Usage: "`URL` of the node's admin listener"},
		// The environment keeps it out of process lists and shell histories.
		&cli.StringFlag{Name: "token-file", Usage: "read the token from `FILE` (default: the environment variable PILEUS_TOKEN)"},
		&cli.StringFlag{Name: "ca", Usage: "trust the certificates in `FILE` (default: the system's)"},
		&cli.BoolFlag{Name: "json", Usage: "print the node's answer as it came"},
	}, more...)
}

const (
	remoteTimeout = 15 * time.Second
	maxRemote     = 16 << 20 // bytes of an answer
)

// remote is the API of a node that runs.
type remote struct {
	base, token string
	client      *http.Client
}

func newRemote(c *cli.Context) (*remote, error) {
	u, err := url.Parse(c.String("node"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage("--node: %q is not a URL such as http://127.0.0.1:8935", c.String("node"))
	}
	r := &remote{base: strings.TrimSuffix(u.String(), "/"), token: strings.TrimSpace(os.Getenv("PILEUS_TOKEN")), client: &http.Client{Timeout: remoteTimeout}}
	if file := c.String("token-file"); file != "" {
		text, err := readText(file)
		if err != nil {
			return nil, err
		}
		r.token = strings.TrimSpace(string(text))
	}
	if file := c.String("ca"); file != "" {
		text, err := readText(file)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
		}
		r.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	}
	return r, nil
}

func readText(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text, err := plain.Text(content)
	if err != nil {
		return nil, fmt.Errorf("%s %w", file, err)
	}
	return text, nil
}

// call gives the answer's body.
func (r *remote) call(c *cli.Context, method, path string, body any) ([]byte, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	q, err := http.NewRequestWithContext(c.Context, method, r.base+"/api/v1"+path, text)
	if err != nil {
		return nil, err
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("%w; does the node run, and is --node its admin listener?", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxRemote))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, refused(resp, answer)
	}
	return answer, nil
}

func refused(resp *http.Response, answer []byte) error {
	var body struct{ Error struct{ Message string } }
	if json.Unmarshal(answer, &body) != nil || body.Error.Message == "" {
		return fmt.Errorf("%s does not speak this API: %s", resp.Request.URL.Host, resp.Status)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%s; here: PILEUS_TOKEN or --token-file", body.Error.Message)
	}
	return errors.New(body.Error.Message)
}

// remoteCommand is a command that asks path and shows the answer.
func remoteCommand[T any](name, use, path string, in func(w io.Writer, v T)) *cli.Command {
	return &cli.Command{
		Name: name, Usage: use, Flags: remoteFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			r, err := newRemote(c)
			if err != nil {
				return err
			}
			return show(c, r, http.MethodGet, path, in)
		},
	}
}

func statusCommand() *cli.Command {
	return remoteCommand("status", "tell how a running node does", "/status", func(w io.Writer, s api.Status) {
		state := "ready"
		switch {
		case s.Draining != nil:
			state = "draining until " + s.Draining.Local().Format(time.DateTime)
		case !s.Ready:
			state = "not ready"
		}
		fmt.Fprintf(w, "state\t%s\nversion\t%s\nfingerprint\t%s\nup\t%s\n", state, s.Version, s.Fingerprint, time.Since(s.Started).Round(time.Second))
		fmt.Fprintf(w, "peers\t%d\nintroductions\t%d, of which %d were asked for again\nrelayed pairs\t%d\n", s.Peers, s.Introduced, s.Retried, s.Relay.Pairs)
		if h := s.Hooks; h != nil {
			fmt.Fprintf(w, "hooks\t%d allowed, %d refused, %d without answer; %d events told, %d wait, %d lost\n",
				h.Allowed, h.Refused, h.NoAnswer, h.Told, h.Waiting, h.Lost)
		}
	})
}

func introductionsCommand() *cli.Command {
	return remoteCommand("introductions", "list the latest introductions of a running node, and why they were made so", "/introductions",
		func(w io.Writer, l api.Introductions) {
			fmt.Fprintln(w, "TIME\tINITIATOR\tTARGET\tCLASSES\tSTRATEGY\tOUTCOME\tREASON")
			for _, e := range l.Introductions {
				how, outcome, why := "", e.Reason, "no such peer was connected"
				if e.Plan != nil {
					how, outcome, why = e.Plan.Strategy, e.Outcome, e.Plan.Reason
				}
				fmt.Fprintf(w, "%s\t%.8s\t%.8s\t%v, %v\t%s\t%s\t%s\n", e.Time.Local().Format(time.DateTime), e.Peer.ID, e.Target.ID,
					e.Peer.Class, e.Target.Class, how, outcome, why)
			}
		})
}

// orderCommand is a command that orders something.
func orderCommand(name, use, method, path string, more []cli.Flag, body func(*cli.Context) any,
	tell func(w io.Writer, answer []byte) error,
) *cli.Command {
	return &cli.Command{
		Name: name, Usage: use, Flags: remoteFlags(more...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			r, err := newRemote(c)
			if err != nil {
				return err
			}
			m, b := method, body(c)
			if name == "drain" && c.Bool("cancel") {
				m, b = http.MethodDelete, nil
			}
			answer, err := r.call(c, m, path, b)
			if err != nil {
				return err
			}
			if c.Bool("json") || tell == nil {
				_, err = c.App.Writer.Write(answer)
				return err
			}
			return tell(c.App.Writer, answer)
		},
	}
}

func drainCommand() *cli.Command {
	return orderCommand("drain", "have a running node take no clients, and end when they have left", http.MethodPost, "/drain", []cli.Flag{
		&cli.DurationFlag{Name: "deadline", Value: 10 * time.Minute, Usage: "end after `DURATION` at the latest"},
		&cli.BoolFlag{Name: "cancel", Usage: "take clients again"},
	}, func(c *cli.Context) any { return map[string]string{"deadline": c.Duration("deadline").String()} }, nil)
}

func reloadCommand() *cli.Command {
	return orderCommand("reload", "have a running node read its configuration again, as SIGHUP does", http.MethodPost, "/reload", nil,
		func(*cli.Context) any { return nil }, showReload)
}

func showReload(w io.Writer, answer []byte) error {
	var done api.Reloaded
	if err := json.Unmarshal(answer, &done); err != nil {
		return errVersion(err)
	}
	if len(done.Changed)+len(done.Restart)+len(done.Opened)+len(done.Closed) == 0 {
		fmt.Fprintln(w, "nothing has changed")
	}
	if len(done.Changed) > 0 {
		fmt.Fprintf(w, "in force now: %s\n", strings.Join(done.Changed, ", "))
	}
	if len(done.Restart) > 0 {
		fmt.Fprintf(w, "changed, but waiting for a restart of the node: %s\n", strings.Join(done.Restart, ", "))
	}
	if len(done.Opened) > 0 {
		fmt.Fprintf(w, "addresses that came, and are served: %s\n", strings.Join(done.Opened, ", "))
	}
	if len(done.Closed) > 0 {
		fmt.Fprintf(w, "addresses that went: %s\n", strings.Join(done.Closed, ", "))
	}
	for _, m := range done.Missing {
		fmt.Fprintf(w, "not served: %s\n", m)
	}
	return nil
}
