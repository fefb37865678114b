package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"pileus/configs"
)

// settingsFlags are the flags that override the configuration. A fresh set
// each time: the library keeps state in them.
func settingsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "read `FILE` (default: none, the defaults are in force)"},
		&cli.StringSliceFlag{Name: "listen", Usage: "speak RTMFP at `ADDR:PORT`, or :PORT for every address; repeatable, the first is the main one (default: :1935)"},
		&cli.StringSliceFlag{Name: "alternate", Usage: "`IP` is a further address of this machine, to tell NATs apart by; repeatable"},
		&cli.StringSliceFlag{Name: "public", Usage: "`BIND=NAME` of a 1:1 NAT: the address BIND has the outside name NAME; repeatable"},
		&cli.StringFlag{Name: "probe-ports", Usage: "probe clients' NATs from the ports `FIRST-LAST`, \"\" for not at all (default: 1936-1943)"},
		&cli.StringFlag{Name: "relay-ports", Usage: "relay peers that cannot meet at the ports `FIRST-LAST`, \"\" for not at all (default: 20000-20999)"},
		&cli.StringFlag{Name: "admin", Usage: "answer /healthz and /metrics over TCP at `ADDR:PORT`, \"\" for nowhere (default: 127.0.0.1:8935)"},
		&cli.StringFlag{Name: "log-format", Usage: "write the log as `FORMAT`: text, or json, one object a line (default: text)"},
	}
}

// settings is the configuration that a command line asks for: the defaults, the
// file over them, the flags over both; all checked. files are configurations
// named beside --config. Every mistake is told at once.
func settings(c *cli.Context, files ...string) (*configs.Config, error) {
	cfg, err := examine(c, files...)
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

// settingsAndFiles is settings, and the files that they name are looked at, too.
func settingsAndFiles(c *cli.Context, files ...string) (*configs.Config, error) {
	cfg, err := examine(c, files...)
	if cfg != nil {
		_, unread := readCertificates(cfg)
		err = configs.Join(err, unread)
	}
	if err != nil {
		return nil, err
	}
	return cfg, nil
}

// examine gives what can be read of the configuration, and all that is wrong with it.
func examine(c *cli.Context, files ...string) (*configs.Config, error) {
	if c.IsSet("config") {
		if c.String("config") == "" {
			return nil, usage("--config names no file")
		}
		files = append(files, c.String("config"))
	}
	cfg := configs.Default()
	var mistakes error
	switch len(files) {
	case 0:
	case 1:
		if cfg, mistakes = load(files[0]); cfg == nil {
			return nil, mistakes
		}
	default:
		if slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, "-") }) {
			return nil, usage("flags go before the name of the file")
		}
		return nil, usage("%d configurations are named, one can be used: %s", len(files), strings.Join(files, ", "))
	}
	flags := override(cfg, c)
	return cfg, configs.Join(mistakes, flags, cfg.Validate())
}

func load(file string) (*configs.Config, error) {
	cfg, err := configs.Load(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w; configs/pileus.yaml is one to start from", err)
	}
	return cfg, err
}

// override lays the flags that were given over cfg. A flag replaces the whole
// value of its key.
func override(cfg *configs.Config, c *cli.Context) error {
	var errs []error
	set := func(flag, key string, apply func() error) {
		if !c.IsSet(flag) {
			return
		}
		cfg.SetOrigin(key, configs.Origin{Flag: flag})
		if err := apply(); err != nil {
			cfg.SetBroken(key)
			for line := range strings.Lines(err.Error()) {
				errs = append(errs, usage("--%s: %s", flag, strings.TrimRight(line, "\n")))
			}
		}
	}
	// What is repeated is judged one by one, and none of it taken if one is wrong.
	each := func(flag string, take func(s string) error) error {
		values := c.StringSlice(flag)
		wrong := make([]error, len(values))
		for i, s := range values {
			wrong[i] = take(s)
		}
		return errors.Join(wrong...)
	}
	set("listen", "listen", func() error {
		var list []configs.Listen
		err := each("listen", func(s string) error {
			var l configs.Listen
			err := l.UnmarshalText([]byte(s))
			list = append(list, l)
			return err
		})
		if err == nil {
			cfg.Listen = list
		}
		return err
	})
	set("alternate", "alternate", func() error {
		var list []netip.Addr
		err := each("alternate", func(s string) error {
			a, err := configs.ParseIP(s)
			list = append(list, a)
			return err
		})
		if err == nil {
			cfg.Alternate = list
		}
		return err
	})
	set("public", "public", func() error {
		names := map[netip.Addr]netip.Addr{}
		err := each("public", func(s string) error {
			bind, name, ok := strings.Cut(s, "=")
			if !ok {
				return fmt.Errorf("%q is not BIND=NAME, as in 10.0.0.5=198.51.100.7", s)
			}
			b, err := configs.ParseIP(bind)
			if err != nil {
				return err
			}
			n, err := configs.ParseIP(name)
			if err != nil {
				return err
			}
			if _, twice := names[b]; twice {
				return fmt.Errorf("%v is given two names", b)
			}
			names[b] = n
			return nil
		})
		if err == nil {
			cfg.Public = names
		}
		return err
	})
	set("probe-ports", "probe.ports", func() error { return cfg.Probe.Ports.UnmarshalText([]byte(c.String("probe-ports"))) })
	set("relay-ports", "relay.ports", func() error { return cfg.Relay.Ports.UnmarshalText([]byte(c.String("relay-ports"))) })
	set("admin", "admin.listen", func() error { return cfg.Admin.Listen.UnmarshalText([]byte(c.String("admin"))) })
	set("log-format", "log.format", func() error { return cfg.Log.Format.UnmarshalText([]byte(c.String("log-format"))) })
	return errors.Join(errs...)
}
