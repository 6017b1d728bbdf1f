// Package cli is the command line of millrace: what is written on it, what comes out on
// which stream, and the exit status. A wrong flag or value is one line on stderr and status
// 2, a failure at run time one line and status 1, and a clean stop by SIGINT or SIGTERM is
// status 0.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/congestion/catalog"
)

// The exit statuses.
const (
	statusOK      = 0
	statusFailure = 1
	statusUsage   = 2
)

// usageError is a mistake on the command line.
type usageError struct{ err error }

// Error is the mistake in one line.
func (e usageError) Error() string { return e.err.Error() }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// statusError ends the program with the status of a program that it ran.
type statusError int

// Error is for logs only: the other program has said what there is to say.
func (e statusError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// app is one run of the program. Everything that it touches outside is here, so that tests
// bring their own.
type app struct {
	version        string
	algorithms     catalog.Table // that --cc takes; nil: those of millrace
	args           []string      // the command line, for reports
	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger
	level          slog.LevelVar
	// open opens millrace on a NIC.
	open func(network.Config) (network.Network, error)

	jsonMu sync.Mutex
}

// errStopped is the cause with which the context ends when a signal came.
var errStopped = errors.New("stopped")

// Program is what a program with this command line is.
type Program struct {
	Version    string        // empty if the build did not say
	Algorithms catalog.Table // that --cc takes; nil: those of millrace
}

// Main runs the command line and returns the exit status. SIGINT and SIGTERM end it
// cleanly; a second one ends the process at once.
func Main(p Program, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go func() {
		<-signals
		cancel(errStopped)
		if sig, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(sig)) // as a shell reports a process that a signal killed
		}
	}()
	a := &app{version: p.Version, algorithms: p.Algorithms, stdin: stdin, stdout: stdout, stderr: stderr, open: network.Open}
	return a.run(ctx, args)
}

// run runs one command line.
func (a *app) run(ctx context.Context, args []string) int {
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: &a.level}))
	a.args = args
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	var status statusError
	switch {
	case err == nil:
		return statusOK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &usageError{}):
		fmt.Fprintf(a.stderr, "millrace: %s\n", oneLine(err))
		return statusUsage
	case errors.Is(context.Cause(ctx), errStopped):
		a.log.Debug("stopped", "cause", err)
		return statusOK
	}
	fmt.Fprintf(a.stderr, "millrace: %s\n", oneLine(err))
	return statusFailure
}

// oneLine is the text of an error without its line breaks, and without the name that the package
// of the same name begins it with.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "millrace: ")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "; ")
}

// root makes the tree of commands.
func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "millrace",
		Short: "A user-space TCP stack for Linux NICs, through XDP and AF_XDP",
		Long: `Millrace is a user-space TCP stack. An XDP program takes the flows that millrace
claims off the NIC; everything else stays with the kernel. What opens a NIC takes root, or
CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF; "millrace demo" shows it without a NIC, and
"millrace sim" and "--stack kernel" need no privilege.`,
		Example: `  sudo millrace demo
  sudo millrace serve http --nic eth0 --listen :8080 --root /srv/www
  sudo millrace get --nic eth0 http://192.0.2.1/file -o file
  sudo millrace bench throughput --flows 1,8
  millrace sim --link rate=20mbit,rtt=50ms --flows 4`,
		SilenceErrors: true,
		SilenceUsage:  true,
	})
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w (see %s --help)", err, cmd.CommandPath())
	})
	root.AddCommand(
		a.demoCommand(), a.peerCommand(), a.benchCommand(), a.serveCommand(), a.proxyCommand(), a.getCommand(), a.ncCommand(), a.iperf3Command(),
		a.labCommand(), a.simCommand(), a.ccCommand(), a.ssCommand(), a.doctorCommand(), a.versionCommand(),
	)
	return root
}

// group makes a command that only has commands below it.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.DisableFlagsInUseLine = true // it has none but --help
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		var names []string
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				names = append(names, c.Name())
			}
		}
		return usagef("say what to %s: %s", cmd.Name(), strings.Join(names, ", "))
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if similar := cmd.SuggestionsFor(name); len(similar) > 0 {
		hint = fmt.Sprintf(", did you mean %s?", strings.Join(similar, " or "))
	}
	return usagef("unknown command %q for %s%s (see %s --help)", name, cmd.CommandPath(), hint, cmd.CommandPath())
}

// arguments returns a check for n arguments, which are named in the error.
func arguments(n int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == n:
			return nil
		case n == 0:
			return usagef("%s takes no argument, got %q", cmd.CommandPath(), args[0])
		}
		return usagef("%s takes %s, got %d", cmd.CommandPath(), names, len(args))
	}
}

// required says which of the flags were not given.
func required(cmd *cobra.Command, flags ...string) error {
	for _, f := range flags {
		if !cmd.Flags().Changed(f) {
			return usagef("%s needs --%s (see %s --help)", cmd.CommandPath(), f, cmd.CommandPath())
		}
	}
	return nil
}

// printJSON writes one object as one line of standard output. Any goroutine may call it.
func (a *app) printJSON(v any) {
	a.jsonMu.Lock()
	defer a.jsonMu.Unlock()
	if err := json.NewEncoder(a.stdout).Encode(v); err != nil {
		a.log.Error("write result", "cause", err)
	}
}

// terminal says whether a stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
