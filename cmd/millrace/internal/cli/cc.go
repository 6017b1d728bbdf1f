package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// defaultCC is the congestion control of a stack that is told nothing.
const defaultCC = "reno"

// algorithm is a congestion control that --cc takes.
type algorithm struct {
	Name    string   `json:"name"`
	Default bool     `json:"default"`
	Options []string `json:"options"` // "key=value: meaning"
	About   string   `json:"about"`
}

// algorithms is what cc list prints, in order.
var algorithms = []algorithm{
	{Name: "reno", Default: true, Options: []string{},
		About: "slow start, congestion avoidance and halving on loss (RFC 5681), appropriate byte counting (RFC 3465)"},
}

// checkCC says whether a NAME[?k=v&…] names an algorithm. What the options mean is the
// algorithm's business.
func checkCC(spec string) error {
	name, _, _ := strings.Cut(spec, "?")
	var names []string
	for _, a := range algorithms {
		if a.Name == name {
			return nil
		}
		names = append(names, a.Name)
	}
	return fmt.Errorf("there is no %q, there is %s", name, strings.Join(names, ", "))
}

func (a *app) ccCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "cc",
		Short:   "Congestion control",
		Example: "  millrace cc list",
	})
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the algorithms and their options",
		Example: "  millrace cc list --json",
		Args:    arguments(0, ""),
	}
	asJSON := list.Flags().Bool("json", false, "print an array of algorithms")
	list.RunE = func(*cobra.Command, []string) error {
		if *asJSON {
			a.printJSON(algorithms)
			return nil
		}
		w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tOPTIONS\tWHAT IT IS")
		for _, alg := range algorithms {
			name, options := alg.Name, strings.Join(alg.Options, "; ")
			if alg.Default {
				name += " (default)"
			}
			if options == "" {
				options = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", name, options, alg.About)
		}
		return w.Flush()
	}
	cmd.AddCommand(list)
	return cmd
}
