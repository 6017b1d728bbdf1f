// Millrace is a user-space TCP stack for Linux NICs, as a command: services, a proxy,
// clients and tools that run on it. "millrace help" lists them.
package main

import (
	"os"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/cli"
)

// version is set by the linker, see the Makefile.
var version string

func main() {
	os.Exit(cli.Main(cli.Program{Version: version}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
