package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/internal/lab"
)

func (a *app) labCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "lab",
		Short: "Two network namespaces joined by a veth pair, to try things in",
		Example: `  millrace lab up
  millrace lab exec a -- millrace serve echo --nic veth-a --listen :7
  millrace lab exec b -- nc 10.77.0.1 7
  millrace lab down`,
	})
	cmd.AddCommand(a.labUp(), a.labDown(), a.labStatus(), a.labExec())
	return cmd
}

// nameFlag adds --name.
func nameFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("name", lab.DefaultName, "`NAME` of the lab; several can be up")
}

func (a *app) labUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "up",
		Short:   "Make the lab: 10.77.0.1/24 + fd77::1/64 and 10.77.0.2/24 + fd77::2/64",
		Example: "  millrace lab up --mtu 9000 --queues 2",
		Args:    arguments(0, ""),
	}
	name := nameFlag(cmd)
	mtu := cmd.Flags().Int("mtu", lab.DefaultMTU, "MTU of the link, `OCTETS`")
	queues := cmd.Flags().Int("queues", 1, "`Q` receive and transmit queues of each end")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *mtu < 1 || *queues < 1 {
			return usagef("--mtu and --queues are at least 1")
		}
		l, err := lab.Up(lab.Config{Name: *name, MTU: *mtu, Queues: *queues})
		if err != nil {
			return err
		}
		a.printLabs([]*lab.Lab{l})
		return nil
	}
	return cmd
}

func (a *app) labDown() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "down",
		Short:   "Remove the lab; that there is none is no error",
		Example: "  millrace lab down",
		Args:    arguments(0, ""),
	}
	name := nameFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return lab.Remove(*name) }
	return cmd
}

func (a *app) labStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "List the labs that are up",
		Example: "  millrace lab status --json",
		Args:    arguments(0, ""),
	}
	name := cmd.Flags().String("name", "", "only the lab `NAME`; not up is an error then")
	asJSON := cmd.Flags().Bool("json", false, "print an array of labs")
	cmd.RunE = func(*cobra.Command, []string) error {
		labs, err := findLabs(*name)
		if err != nil {
			return err
		}
		if *asJSON {
			a.printJSON(exportLabs(labs))
			return nil
		}
		if len(labs) == 0 {
			fmt.Fprintln(a.stdout, "no lab is up")
			return nil
		}
		a.printLabs(labs)
		return nil
	}
	return cmd
}

// findLabs returns the lab of that name, or all if there is no name. One that goes away
// meanwhile is left out.
func findLabs(name string) ([]*lab.Lab, error) {
	if name != "" {
		l, err := lab.Find(name)
		return []*lab.Lab{l}, err
	}
	names, err := lab.List()
	if err != nil {
		return nil, err
	}
	var labs []*lab.Lab
	for _, name := range names {
		l, err := lab.Find(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		labs = append(labs, l)
	}
	return labs, nil
}

// labJSON is a lab as --json prints it.
type labJSON struct {
	Name   string     `json:"name"`
	MTU    int        `json:"mtu"`
	Queues int        `json:"queues"`
	Hosts  []hostJSON `json:"hosts"`
}

// hostJSON is one end of a lab as --json prints it.
type hostJSON struct {
	Side      string `json:"side"`
	Namespace string `json:"namespace"`
	Interface string `json:"interface"`
	IP4       string `json:"ip4"`
	IP6       string `json:"ip6,omitempty"`
}

func exportLabs(labs []*lab.Lab) []labJSON {
	out := []labJSON{}
	for _, l := range labs {
		j := labJSON{Name: l.Name, MTU: l.MTU, Queues: l.Queues}
		for _, h := range []*lab.Host{l.A, l.B} {
			host := hostJSON{Side: h.Side, Namespace: h.Namespace, Interface: h.Interface, IP4: h.IP4.String()}
			if h.IP6.IsValid() {
				host.IP6 = h.IP6.String()
			}
			j.Hosts = append(j.Hosts, host)
		}
		out = append(out, j)
	}
	return out
}

func (a *app) printLabs(labs []*lab.Lab) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LAB\tSIDE\tNAMESPACE\tINTERFACE\tIPv4\tIPv6\tMTU\tQUEUES")
	for _, l := range exportLabs(labs) {
		for _, h := range l.Hosts {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n",
				l.Name, h.Side, h.Namespace, h.Interface, h.IP4, h.IP6, l.MTU, l.Queues)
		}
	}
	_ = w.Flush()
}

func (a *app) labExec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [--name NAME] a|b -- CMD...",
		Short: "Run a program in one of the namespaces and end with its exit status",
		Example: `  millrace lab exec a -- ip address
  millrace lab exec a -- millrace serve echo --nic veth-a --listen :7
  millrace lab exec b -- ping -c1 10.77.0.1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || args[0] != "a" && args[0] != "b" {
				return usagef("%s takes a or b, --, and a program with its arguments", cmd.CommandPath())
			}
			return nil
		},
	}
	name := nameFlag(cmd)
	// What follows "a" or "b" belongs to the program, also without "--".
	cmd.Flags().SetInterspersed(false)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lab.Find(*name)
		if err != nil {
			return err
		}
		host := l.A
		if args[0] == "b" {
			host = l.B
		}
		program := args[1:]
		if program[0] == "--" {
			program = program[1:]
		}
		if len(program) == 0 {
			return usagef("%s: no program after --", cmd.CommandPath())
		}
		return a.execIn(cmd.Context(), host, program)
	}
	return cmd
}

// execIn runs a program and waits for it, also when a signal came: the program got the
// same one from the terminal, or is told to end here.
func (a *app) execIn(ctx context.Context, host *lab.Host, program []string) error {
	cmd := host.Command(ctx, program[0], program[1:]...)
	cmd.Cancel = func() error { return terminate(cmd.Process) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		if code := exit.ExitCode(); code > 0 {
			return statusError(code)
		}
		return fmt.Errorf("lab: %s: %w", program[0], err)
	}
	return err
}
