package main

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "tell whether serve would accept a configuration, without serving",
		ArgsUsage: "[FILE]",
		Description: `Reads the configuration and everything it names, as serve does, and stops where
serve would open its first socket. Every mistake is told, with its line and a
hint. With --probe this machine is asked, too: each port is opened and closed
again, which tells of addresses that are not here and ports that others have, this
machine's running node among them. configs/pileus.yaml is the manual of every key.` + examples(
			"check configs/pileus.yaml",
			"check --config FILE --listen :1936",
			"check --probe --config FILE",
		),
		Flags: append(settingsFlags(),
			&cli.BoolFlag{Name: "probe", Usage: "open and close every port on this machine"}),
		Action: func(c *cli.Context) error {
			cfg, err := settingsAndFiles(c, c.Args().Slice()...)
			if err != nil {
				return err
			}
			for _, line := range warnings(cfg) {
				fmt.Fprintln(c.App.ErrWriter, "pileus: "+line)
			}
			if _, err := build(cfg, discardLogger(), time.Now); err != nil {
				return err
			}
			if c.Bool("probe") {
				log, _ := newLogger(c.App.ErrWriter, cfg.Log)
				s, err := openSockets(cfg, log)
				if err != nil {
					return err
				}
				s.close()
			}
			_, err = fmt.Fprintln(c.App.Writer, "ok")
			return err
		},
	}
}
