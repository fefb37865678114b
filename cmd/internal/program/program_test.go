package program_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
)

func TestRun(t *testing.T) {
	fails := func(err error) cli.ActionFunc { return func(*cli.Context) error { return err } }
	for _, test := range []struct {
		args string
		code int
		said string
	}{
		{"fine", 0, ""},
		{"plain", 5, "hat: one\nhat: two\n"},
		{"decided", 7, "hat: three\n"},
		{"silent", 8, ""},
		{"nobody", program.ExitUsage, `hat: there is no command "nobody"; there are fine, plain, decided, silent, deep`},
		{"deep nobody", program.ExitUsage, `hat: there is no command "nobody"; there are er` + "\n"},
		{"deep er --x", program.ExitUsage, "hat: there is no flag --x; see ./hat deep er --help\n"},
		{"deep er --n=y", program.ExitUsage, "; see ./hat deep er --help\n"},
		{"", program.ExitUsage, "COMMANDS"},
		{"deep", program.ExitUsage, "COMMANDS"},
	} {
		var stdout, stderr bytes.Buffer
		app := &cli.App{Name: "hat", Writer: &stdout, ErrWriter: &stderr, Commands: []*cli.Command{
			{Name: "fine", Action: fails(nil)},
			{Name: "plain", Action: fails(errors.Join(errors.New("one"), errors.New("two")))},
			{Name: "decided", Action: fails(&program.ExitError{Code: 7, Err: errors.New("three")})},
			{Name: "silent", Action: fails(&program.ExitError{Code: 8})},
			{Name: "deep", Subcommands: []*cli.Command{
				{Name: "er", Flags: []cli.Flag{&cli.IntFlag{Name: "n"}}},
				{Name: "unseen", Hidden: true},
			}},
		}}
		code := program.Run(t.Context(), app, "./hat", 5, strings.Fields(test.args))
		if code != test.code || !strings.Contains(stderr.String(), test.said) || test.said == "" && stderr.Len() > 0 {
			t.Errorf("%q: exit %d, %q", test.args, code, &stderr)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: %q is no data", test.args, &stdout)
		}
	}
}
