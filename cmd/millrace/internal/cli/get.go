package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/fetch"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
)

func (a *app) getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "get URL [-o FILE]",
		Short: "Fetch a URL over the stack",
		Long: `Get fetches an http or https URL and writes it to standard output or to a file. Names
are looked up over the kernel's network. Until a file is whole its name ends in .part.`,
		Example: `  millrace get http://192.0.2.1/file -o file
  millrace get https://example.org/ | wc -c`,
		Args: arguments(1, "one URL"),
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	file := cmd.Flags().StringP("output", "o", "-", "write to `FILE`; - is standard output")
	insecure := cmd.Flags().BoolP("insecure", "k", false, "take any certificate")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		u, err := fetch.ParseURL(args[0])
		if err != nil {
			return usageError{err}
		}
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			cfg := fetch.Config{
				Dial: func(ctx context.Context, nt, address string) (net.Conn, error) {
					return network.DialAny(ctx, nw, nt, address)
				},
				TLS: &tls.Config{InsecureSkipVerify: *insecure},
			}
			p := &progress{w: a.stderr, start: time.Now()}
			if terminal(a.stderr) && (*file != "-" || !terminal(a.stdout)) {
				cfg.Progress = p.show
			}
			if *file == "-" {
				_, err = fetch.Get(ctx, u, a.stdout, cfg)
			} else {
				_, err = fetch.ToFile(ctx, u, *file, cfg)
			}
			p.end()
			return err
		})
	}
	return cmd
}

// progressEvery is how often the line of a progress is written anew.
const progressEvery = 200 * time.Millisecond

// progress is a line on a terminal that says how far a transfer is.
type progress struct {
	w           io.Writer
	start, last time.Time
	octets      int64
	total       int64
}

// show is called for every block; it writes now and then.
func (p *progress) show(octets, total int64) {
	p.octets, p.total = octets, total
	if now := time.Now(); now.Sub(p.last) >= progressEvery {
		p.last = now
		p.write()
	}
}

// write writes the line over the one before.
func (p *progress) write() {
	rate := float64(p.octets) * 8 / max(time.Since(p.start).Seconds(), 1e-9) / 1e6
	of := ""
	if p.total > 0 {
		of = fmt.Sprintf(" of %.1f MB, %d %%", float64(p.total)/1e6, p.octets*100/p.total)
	}
	fmt.Fprintf(p.w, "\r\033[K%.1f MB%s, %.1f Mbit/s", float64(p.octets)/1e6, of, rate)
}

// end ends the line, if there is one.
func (p *progress) end() {
	if !p.last.IsZero() {
		p.write()
		fmt.Fprintln(p.w)
	}
}
