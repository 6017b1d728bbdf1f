package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/sim/traces"
)

func (a *app) simTraceCommand() *cobra.Command {
	var models []string
	for _, m := range traces.Models() {
		models = append(models, fmt.Sprintf("  %-10s %s", m.Name, m.About))
	}
	cmd := &cobra.Command{
		Use:   "trace MODEL",
		Short: "Make a trace of a link whose rate varies",
		Long: `Trace makes a trace in mahimahi's format from a model and a seed, for trace= of --link: each
line is a time in milliseconds at which a packet of 1500 octets may leave. The models:
` + strings.Join(models, "\n"),
		Example: "  millrace sim trace cellular --time 60s > cellular.trace\n  millrace sim --link trace=cellular.trace,rtt=60ms,queue=200pkt",
		Args:    arguments(1, "a model"),
	}
	length := cmd.Flags().Duration("time", time.Minute, "how long it is before it starts over, `DUR`")
	seed := cmd.Flags().Uint64("seed", 1, "seed `S` of all chance")
	output := cmd.Flags().StringP("output", "o", "", "write to `FILE` rather than to standard output")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		m, err := traces.ByName(args[0])
		if err != nil {
			return usageError{err}
		}
		if *length < traces.LengthMin || *length > traces.LengthMax {
			return usagef("--time %v: want %v to %v", *length, traces.LengthMin, traces.LengthMax)
		}
		write := func(w io.Writer) error { return traces.Write(w, m.Generate(*length, *seed)) }
		if *output != "" {
			return writeFile(*output, write)
		}
		return write(a.stdout)
	}
	return cmd
}
