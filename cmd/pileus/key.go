package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/configs"
	"pileus/introducer/tenant"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "make developer keys",
		Subcommands: []*cli.Command{{
			Name:      "add",
			Usage:     "make a developer key for a tenant, and tell where it goes",
			ArgsUsage: "TENANT",
			Description: `Prints the lines for the configuration; nothing is changed by itself. Clients of
rtmfp://host/KEY/app then belong to the tenant.`,
			Flags: []cli.Flag{&cli.StringFlag{Name: "config", Usage: "`FILE` with the tenants there are"}},
			Action: func(c *cli.Context) error {
				if c.NArg() != 1 {
					return usage("key add takes the name of one tenant")
				}
				name := c.Args().First()
				t := configs.DefaultTenant()
				if file := c.String("config"); file != "" {
					cfg, err := load(file)
					if err != nil {
						return err
					}
					if there, ok := cfg.Tenants[name]; ok {
						t = there
					}
				}
				key := tenant.NewKey()
				t.Keys = append(slices.Clone(t.Keys), key)
				cfg := configs.Default()
				cfg.Tenants[name] = t
				if err := cfg.Validate(); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.App.Writer, "tenants:\n  %s:\n    keys: %s\n", name, list(t.Keys))
				fmt.Fprintf(c.App.ErrWriter, "clients connect to rtmfp://HOST/%s/APP once this is in the configuration and it was reloaded\n", key)
				return err
			},
		}},
	}
}

// list is a YAML list in one line.
func list(items []string) string {
	text := "["
	for i, s := range items {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", s)
	}
	return text + "]"
}

func tokenCommand() *cli.Command {
	return &cli.Command{
		Name:      "token",
		Usage:     "make a token with which one client may connect once",
		ArgsUsage: "TENANT",
		Description: `A tenant's own server makes tokens for its clients, which bring them as the first
argument of connect; this is for trying it out. The secret comes from the
configuration, or from the environment variable PILEUS_SECRET.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "`FILE` with the tenant's secret"},
			&cli.StringFlag{Name: "app", Usage: "only for the application `PATH` (default: any)"},
			&cli.StringFlag{Name: "name", Usage: "the client is to be known by `NAME`"},
			&cli.IntFlag{Name: "pending", Usage: "it may look for `N` peers at a time (default: the node's limit)"},
			&cli.DurationFlag{Name: "life", Value: time.Minute, Usage: "good for `DURATION`, at most 5m"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("token takes the name of one tenant, after the flags")
			}
			name, secret := c.Args().First(), os.Getenv("PILEUS_SECRET")
			if file := c.String("config"); file != "" {
				cfg, err := load(file)
				if err != nil {
					return err
				}
				t, ok := cfg.Tenants[name]
				if !ok {
					return fmt.Errorf("%s has no tenant %q", file, name)
				}
				secret = t.Secret
			}
			if secret == "" {
				return usage("there is no secret: name the configuration with --config, or set PILEUS_SECRET")
			}
			text, err := tenant.Token{Tenant: name, App: c.String("app"), Name: c.String("name"), Pending: c.Int("pending")}.
				Issue([]byte(secret), time.Now(), c.Duration("life"))
			if err != nil {
				return usage("%w", err)
			}
			_, err = fmt.Fprintln(c.App.Writer, text)
			return err
		},
	}
}
