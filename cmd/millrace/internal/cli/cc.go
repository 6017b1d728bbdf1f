package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/congestion/catalog"
)

// algorithm is a congestion control as cc list --json prints it.
type algorithm struct {
	Name    string   `json:"name"`
	Default bool     `json:"default"`
	Options []option `json:"options"`
	About   string   `json:"about"`
}

// option is an option of one.
type option struct {
	Name    string `json:"name"`
	Values  string `json:"values"`
	Default string `json:"default"`
	About   string `json:"about"`
}

// algorithms is what cc list prints, in order.
func algorithms(table catalog.Table) []algorithm {
	var all []algorithm
	for _, e := range table {
		alg := algorithm{Name: e.Name, Default: e.Name == catalog.Default, Options: []option{}, About: e.About}
		for _, o := range e.Options {
			alg.Options = append(alg.Options, option(o))
		}
		all = append(all, alg)
	}
	return all
}

func (a *app) ccCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:     "cc",
		Short:   "List the congestion control algorithms",
		Example: "  millrace cc list",
	})
	list := &cobra.Command{
		Use:   "list",
		Short: "List the algorithms that --cc takes, with their options",
		Long: `List prints the congestion control algorithms that --cc takes. Options follow a question
mark, several are joined by &: --cc 'reno?L=1'. Mind the shell: quote them.`,
		Example: `  millrace cc list
  millrace sim --cc 'reno,reno?L=8' --flows 2`,
		Args: arguments(0, ""),
	}
	asJSON := list.Flags().Bool("json", false, "print an array of algorithms")
	list.RunE = func(*cobra.Command, []string) error {
		if *asJSON {
			a.printJSON(algorithms(a.table()))
			return nil
		}
		return a.printAlgorithms(a.table())
	}
	cmd.AddCommand(list)
	return cmd
}

func (a *app) printAlgorithms(table catalog.Table) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tWHAT IT IS")
	for _, e := range table {
		name := e.Name
		if name == catalog.Default {
			name += " (default)"
		}
		fmt.Fprintf(w, "%s\t%s\n", name, e.About)
		for _, o := range e.Options {
			fmt.Fprintf(w, "\t  %v\n", o)
		}
	}
	return w.Flush()
}

// table is the algorithms that the program has.
func (a *app) table() catalog.Table {
	if a.algorithms == nil {
		return catalog.All()
	}
	return a.algorithms
}

// checkCC says what is wrong with a NAME[?k=v&…].
func (a *app) checkCC(spec string) error {
	_, _, err := a.table().Parse(spec)
	return err
}
