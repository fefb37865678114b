package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "tell whether serve would accept a configuration, without serving",
		ArgsUsage: "[FILE]",
		Description: `Reads the configuration and everything it names, as serve does, and stops where
serve would open its first socket. Every mistake is told, with its line and a
hint. configs/pileus.yaml is the manual of every key.` + examples(
			"check configs/pileus.yaml",
			"check --config FILE --listen :1936",
		),
		Flags: settingsFlags(),
		Action: func(c *cli.Context) error {
			cfg, err := settings(c, c.Args().Slice()...)
			if err != nil {
				return err
			}
			for _, line := range warnings(cfg) {
				fmt.Fprintln(c.App.ErrWriter, "pileus: "+line)
			}
			if _, err := build(cfg, discardLogger()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.App.Writer, "ok")
			return err
		},
	}
}
