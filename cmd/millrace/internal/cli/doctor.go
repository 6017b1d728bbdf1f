package cli

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/doctor"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what the NIC and the kernel can do, and what stands in the way",
		Long: `Doctor looks at the kernel, at the rights of the process and at one interface, and says
what millrace can make of them, what stands in the way, and the command that mends it. It changes
nothing and attaches nothing. The exit status is 1 if something must be mended first.`,
		Example: `  sudo millrace doctor
  sudo millrace doctor --nic eth0 --json`,
		Args: arguments(0, ""),
	}
	name := cmd.Flags().String("nic", "", "interface `IF` (default: the one with a default route)")
	asJSON := cmd.Flags().Bool("json", false, "print an object")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *name == "" {
			found, err := network.DefaultNIC()
			if err != nil {
				return usagef("--nic: %w", err)
			}
			*name = found
		}
		r := doctor.Examine(*name)
		if *asJSON {
			a.printJSON(r)
		} else if err := a.printReport(r); err != nil {
			return err
		}
		if !r.Usable {
			return errInTheWay
		}
		return nil
	}
	return cmd
}

// errInTheWay ends the command where a check failed.
var errInTheWay = errors.New("something stands in the way: see what says fail")

func (a *app) printReport(r doctor.Report) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Status, c.Name, c.Found)
		if c.Remedy != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", c.Remedy)
		}
	}
	return w.Flush()
}
