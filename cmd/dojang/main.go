// Command dojang is the whole product in one binary: the ecosystem on one machine (demo), a citizen's wallet on the
// command line (wallet), the offline checker (verify), the invariants of every store (fsck) and the benchmarks (bench).
//
// Exit codes: 0 held, 1 a check failed, 2 could not run. With --json standard output carries only JSON lines,
// logs go to standard error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// errCheck: the command ran and the thing it checked does not hold.
var errCheck = errors.New("check failed")

// cli is the command line. Every command's Run gets env.
type cli struct {
	Demo           demoCmd           `cmd:"" help:"Run the whole ecosystem on this machine, or speak to the one that runs."`
	Wallet         walletCmd         `cmd:"" help:"Receive, list and present credentials from a wallet on this machine."`
	Registry       registryCmd       `cmd:"" help:"Run the consortium's chain: found it, join it, start a node, look at it."`
	StatusOperator statusOperatorCmd `cmd:"" help:"Keep an issuer's status lists alive from another site, and make entries worse."`
	Verify         verifyCmd         `cmd:"" help:"Check Evidence offline."`
	Fsck           fsckCmd           `cmd:"" help:"Check the invariants of every store of a stopped system."`
	Bench          benchCmd          `cmd:"" help:"Measure, each row beside its floor from the same run."`

	Verbose bool `help:"Log more, to standard error."`
}

// env is what a command may touch.
type env struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
}

// print writes v as one JSON line. Links in it can be copied as they are: nothing is escaped for HTML.
func (e *env) print(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// A service that keeps little and allocates much collects too often by Go's default. Four times the live heap, and a soft
// limit that makes it collect earlier when memory does get short; GOGC and GOMEMLIMIT of the environment go before.
const (
	gcPercent   = 400
	memoryLimit = 128 << 20
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// joinValues writes `--id X` as `--id=X`: ids are random and may begin with a dash.
func joinValues(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--id" && i+1 < len(args) {
			out = append(out, args[i]+"="+args[i+1])
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("dojang"),
		kong.Description("도장: credentials and e-documents that verify with every server of the issuer switched off."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "dojang:", err)
		return 2
	}
	command, err := parser.Parse(joinValues(args))
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		parser.FatalIfErrorf(err)
		return 2
	}
	level := slog.LevelError
	if c.Verbose {
		level = slog.LevelInfo
	}
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr, log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))}
	switch err := command.Run(e); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "dojang: stopped")
		return 2
	case errors.Is(err, errCheck):
		fmt.Fprintln(stderr, "dojang:", err)
		return 1
	default:
		fmt.Fprintln(stderr, "dojang:", err)
		return 2
	}
}
