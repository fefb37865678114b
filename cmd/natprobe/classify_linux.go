package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/natprobe/matrix"
)

// classified is whose classes are looked at, unless told.
var classified = []string{"N0", "N1", "N2", "N3", "N4", "N4i", "N5", "N6", "N7", "N8", "N11", "N11s", "N12"}

func labClassify(c *cli.Context) error {
	config, err := classifyConfig(c)
	if err != nil {
		return err
	}
	report, err := inLab(c, func(ctx context.Context) (*matrix.ClassReport, error) { return matrix.Classify(ctx, config) })
	if err != nil {
		return err
	}
	if report.Wrong() > 0 {
		return &program.ExitError{Code: exitRelay, Err: fmt.Errorf("%d clients were taken for what they are not", report.Wrong())}
	}
	return nil
}

func classifyConfig(c *cli.Context) (matrix.ClassifyConfig, error) {
	if c.Args().Present() {
		return matrix.ClassifyConfig{}, usage("lab classify takes no argument, and there is %q", c.Args().First())
	}
	config := matrix.ClassifyConfig{
		Tries: c.Int("tries"), Copies: c.Int("copies"), Addresses: c.Int("addresses"), Delay: c.Duration("delay"),
		Settle: c.Duration("settle"), Deaf: c.Bool("deaf"), Pileus: c.String("pileus"), Progress: c.App.ErrWriter,
	}
	if config.Tries < 1 || config.Copies < 1 || config.Addresses < 1 || config.Addresses > 2 || config.Settle <= 0 || config.Delay < 0 {
		return config, usage("--tries, --copies and --settle must be above 0, --delay not below, --addresses 1 or 2")
	}
	var err error
	if config.Loss, err = share(c.String("loss")); err != nil {
		return config, err
	}
	names := c.StringSlice("site")
	if len(names) == 0 {
		names = classified
	}
	if config.Kinds, err = kindsNamed(names); err != nil {
		return config, err
	}
	if config.Pileus == "" {
		if config.Pileus, err = findPileus(); err != nil {
			return config, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return config, failed(err)
	}
	config.Peer = ownPeer(self, 0, config.Deaf)
	if c.Bool("run") {
		config.Probe = self
	}
	if config.Deaf && config.Probe != "" {
		return config, usage("--deaf is for clients, and --run has none")
	}
	return config, nil
}

// ownPeer is the command that runs this program as a peer.
func ownPeer(self string, retry time.Duration, deaf bool) string {
	return fmt.Sprintf("exec '%s' lab peer --retry %v --deaf=%v", strings.ReplaceAll(self, "'", `'\''`), retry, deaf)
}
