package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/urfave/cli/v2"

	"pileus/cmd/internal/program"
	"pileus/cmd/pileus/peer"
	"pileus/configs"
)

func peerCommand() *cli.Command {
	return &cli.Command{
		Name:  "peer",
		Usage: "be a client: connect, publish a stream to peers, play one",
		Description: `Connects to a node, or any RTMFP server, prints its peer ID, and stays until
what it is asked for is done, or until Ctrl-C. The stream goes from peer to peer;
the server only introduces them.

--publish reads FLV from the standard input, at the speed of its timestamps,
from when the first peer plays it. --play writes FLV to the standard output: the
publisher's tags, in the same order, byte for byte. What is said to people goes
to the standard error; with --json the standard output has an event a line.

With --name others find this peer by a name as well as by its ID, for as long as
it stays. --play NAME/STREAM waits until somebody of that name is there. Only
pileus nodes know names.

Exit codes: 0 what was asked for happened, 1 refused or not found or ended too
early, 2 no answer from the server.` + examples(
			"peer --server rtmfp://127.0.0.1/                          # only be there",
			"peer --server rtmfp://127.0.0.1/ --publish cam --pattern --name alice",
			"peer --server rtmfp://127.0.0.1/ --play alice/cam > cam.flv",
			"peer --server rtmfp://127.0.0.1/ --play PEERID/cam | ffplay -",
			"peer --server rtmfp://127.0.0.1/ --publish film < film.flv",
			"peer --server rtmfp://127.0.0.1/ --send 'hello'           # to who plays PEERID/text",
		),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "connect to `URI`, rtmfp://host[:port]/app (port 1935 unless given)"},
			&cli.StringFlag{Name: "name", Usage: "be known to others as `NAME` while connected"},
			&cli.StringFlag{Name: "publish", Usage: "offer a stream `NAME` to peers: FLV from standard input, unless one of the next three is given"},
			&cli.StringFlag{Name: "input", Usage: "publish FLV from `FILE`"},
			&cli.BoolFlag{Name: "pattern", Usage: "publish a test pattern, without end"},
			&cli.StringSliceFlag{Name: "send", Usage: "publish `TEXT` as a message to the first that plays, then end; repeatable (stream name \"text\" unless --publish)"},
			&cli.DurationFlag{Name: "lifetime", Usage: "give up sound and pictures that could not be sent within `TIME` (default: deliver all)"},
			&cli.StringSliceFlag{Name: "accept", Usage: "let `WHO` play: all, ask, none, a peer ID, or the name of a peer; repeatable (default: all)"},
			&cli.StringFlag{Name: "play", Usage: "play the stream of a peer, `PEER/STREAM`, to standard output, as FLV; PEER is an ID, or a name that is waited for"},
			&cli.StringFlag{Name: "output", Usage: "write what is played to `FILE` instead"},
			&cli.DurationFlag{Name: "duration", Usage: "end `TIME` after connecting (default: stay)"},
			&cli.DurationFlag{Name: "timeout", Usage: "wait `TIME` for the server, and for the peer, to answer", Value: peer.DefaultTimeout},
			&cli.DurationFlag{Name: "retry", Usage: "first repeat of what opens a session after `TIME`; later ones take 1.5 s longer each", Value: peer.DefaultRetry},
			&cli.StringFlag{Name: "max-message", Usage: "refuse tags above `SIZE` (default: 1MiB)"},
			&cli.BoolFlag{Name: "progress", Usage: "tell every second how it goes (on a terminal it does anyhow)"},
			&cli.BoolFlag{Name: "json", Usage: "print a JSON object for each event, one a line"},
		},
		Action: runPeer,
	}
}

func runPeer(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg, err := peerConfig(c)
	if err != nil {
		return err
	}
	opened, err := peerFiles(c, &cfg)
	if err != nil {
		return err
	}
	defer opened.close()

	polite, atOnce, release := stopping(c.Context)
	defer release()
	defer surviveBrokenPipes()()
	err = peer.Run(polite, atOnce, cfg)
	if _, silent := errors.AsType[*peer.NoAnswerError](err); silent {
		fmt.Fprintln(c.App.ErrWriter, err)
		return &program.ExitError{Code: exitNoAnswer}
	}
	return err
}

// surviveBrokenPipes makes an error of what would end the process when the
// reader of its standard output is gone: there are sessions to close.
func surviveBrokenPipes() (undo func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGPIPE)
	return func() { signal.Stop(signals) }
}

// peerConfig is what the flags ask for, but for the files they name.
func peerConfig(c *cli.Context) (peer.Config, error) {
	wrong := func(format string, args ...any) (peer.Config, error) {
		return peer.Config{}, usage(format+"; see %s peer --help", append(args, call())...)
	}
	cfg := peer.Config{
		Server: c.String("server"), Name: c.String("name"), Publish: c.String("publish"),
		Texts: c.StringSlice("send"), Pattern: c.Bool("pattern"), Lifetime: c.Duration("lifetime"),
		Retry: c.Duration("retry"), Timeout: c.Duration("timeout"), Duration: c.Duration("duration"),
	}
	if cfg.Server == "" {
		return wrong("--server is missing, such as --server rtmfp://127.0.0.1/")
	}
	for _, f := range []string{"name", "publish"} {
		if c.IsSet(f) && c.String(f) == "" {
			return wrong("--%s needs a name", f)
		}
	}
	if cfg.Publish == "" && len(cfg.Texts) > 0 {
		cfg.Publish = "text"
	}
	for _, f := range []string{"input", "pattern", "lifetime", "accept"} {
		if c.IsSet(f) && cfg.Publish == "" {
			return wrong("--%s is about a stream to publish: it needs --publish NAME", f)
		}
	}
	if cfg.Pattern && c.IsSet("input") {
		return wrong("--pattern and --input: a stream is read or generated, not both")
	}
	for _, f := range []string{"lifetime", "duration", "timeout", "retry"} {
		if c.IsSet(f) && c.Duration(f) <= 0 {
			return wrong("--%s needs a time above 0, such as 10s", f)
		}
	}
	var err error
	if cfg.Accept, err = peer.ParseAccess(c.StringSlice("accept")); err != nil {
		return wrong("--accept: %w", err)
	}
	if s := c.String("play"); c.IsSet("play") {
		stream, err := peer.ParseStream(s)
		if err != nil {
			return wrong("--play: %w", err)
		}
		cfg.Play = &stream
	} else if c.IsSet("output") {
		return wrong("--output is about a stream to play: it needs --play PEER/STREAM")
	}
	if s := c.String("max-message"); s != "" {
		var size configs.Size
		if err := size.UnmarshalText([]byte(s)); err != nil {
			return wrong("--max-message: %w", err)
		}
		cfg.MaxMessage = int(size)
	}
	if err := cfg.Validate(); err != nil {
		return wrong("%w", err)
	}
	return cfg, nil
}

// peerFiles opens what is read and written, and says where it would get mixed
// up.
func peerFiles(c *cli.Context, cfg *peer.Config) (opened files, err error) {
	defer func() {
		if err != nil {
			opened.close()
		}
	}()
	stdin, stdout, stderr := c.App.Reader, c.App.Writer, c.App.ErrWriter
	cfg.Report = peer.Report{Text: stderr, Terminal: isTerminal(stderr), Program: call()}
	cfg.Report.Progress = c.Bool("progress") || cfg.Report.Terminal
	if c.Bool("json") {
		cfg.Report.Events = stdout
		cfg.Report.Text = nil // once is enough
		cfg.Report.Progress = c.Bool("progress")
	}

	input := c.String("input")
	switch {
	case cfg.Publish == "", cfg.Pattern && input == "":
	case input == "" && len(cfg.Texts) > 0:
	case input == "" || input == "-":
		if isTerminal(stdin) {
			return opened, usage("--publish reads FLV from the standard input, which is a terminal; redirect it, or use --input FILE or --pattern")
		}
		cfg.Input = stdin
	default:
		f, err := os.Open(input)
		if err != nil {
			return opened, err
		}
		opened = append(opened, f)
		cfg.Input = f
	}
	if cfg.Accept.Asks() {
		if cfg.Answers = stdin; cfg.Input == stdin {
			f, err := os.OpenFile(terminalName(), os.O_RDWR, 0)
			if err != nil {
				return opened, usage("--accept ask needs a terminal to ask at, since the standard input is what is published")
			}
			cfg.Answers = f // left open: a read of it may never end
		}
	}

	output := c.String("output")
	switch {
	case cfg.Play == nil:
	case output == "" || output == "-":
		if cfg.Report.Events != nil {
			return opened, usage("with --json the standard output has events; name a place for what is played: --output FILE")
		}
		if isTerminal(stdout) {
			fmt.Fprintln(stderr, "the standard output is a terminal: what is played is not written; redirect it, or use --output FILE")
			break
		}
		cfg.Output = stdout
	default:
		f, err := os.Create(output)
		if err != nil {
			return opened, err
		}
		opened = append(opened, f)
		cfg.Output = f
	}
	return opened, nil
}

// files are what a run reads and writes.
type files []io.Closer

func (f files) close() {
	for _, c := range f {
		_ = c.Close()
	}
}

// isTerminal reports whether somebody sits at the other end of f. The null
// device is a character device too.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

func terminalName() string {
	if runtime.GOOS == "windows" {
		return "CONIN$"
	}
	return "/dev/tty"
}
