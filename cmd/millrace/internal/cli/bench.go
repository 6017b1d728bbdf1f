package cli

import "github.com/spf13/cobra"

func (a *app) benchCommand() *cobra.Command {
	cmd := group(&cobra.Command{Use: "bench", Short: "Measure"})
	cmd.AddCommand(a.benchEndCommand())
	return cmd
}
