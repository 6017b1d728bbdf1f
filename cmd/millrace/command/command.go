// Package command is the command line of millrace for programs that bring congestion control
// algorithms of their own: every command takes them by name, in virtual time and on a NIC, as
// it takes those that come with millrace.
//
//	func main() { command.Main(append(catalog.All(), entry())) }
package command

import (
	"os"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/cli"
	"github.com/millrace-tcp/millrace/congestion/catalog"
)

// Main runs the command line of the process with a table of algorithms, and ends the process
// with its status.
func Main(algorithms catalog.Table) {
	p := cli.Program{Algorithms: algorithms}
	os.Exit(cli.Main(p, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
