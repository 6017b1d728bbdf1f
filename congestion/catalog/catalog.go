// Package catalog names the congestion control algorithms that come with millrace, for
// command lines and configurations: "cubic", or with options "cubic?hystart=off". A Table is a value
// like any other; who has algorithms of their own appends them to one and hands that on.
package catalog

import (
	"fmt"
	"strings"

	"github.com/millrace-tcp/millrace/congestion"
)

// Default is the name of the algorithm of a stack that is told nothing.
const Default = "cubic"

// Maker makes an algorithm for each connection. It is what stack.Config, stack.Dialer and
// stack.ListenConfig take as Congestion.
type Maker = func() congestion.Algorithm

// Entry is an algorithm that can be named.
type Entry struct {
	Name    string
	About   string   // in a line, with the RFC
	Options []Option // those that it takes, in the order in which they are listed
	// New returns what makes the algorithm. What is not in the values has its default; what
	// is there was checked against Options by name, and the values are New's to check.
	New func(v Values) (Maker, error)
}

// Option is what may stand behind the question mark of a name.
type Option struct {
	Name    string
	Values  string // what it takes, as in "1 to 64"
	Default string
	About   string
}

// String is the option in a line, as it is listed.
func (o Option) String() string {
	return fmt.Sprintf("%s: %s; %s, default %s", o.Name, o.About, o.Values, o.Default)
}

// Table is a list of algorithms. The first is the one to use when nothing is said.
type Table []Entry

// All returns a table of the algorithms of this module, the default first. It is the
// caller's.
func All() Table {
	return Table{cubicEntry(), renoEntry(), bbrEntry(), bbr1Entry(), dctcpEntry(), vegasEntry(), ledbatEntry(), fixedEntry()}
}

// Names lists the names in the order of the table.
func (t Table) Names() []string {
	names := make([]string, len(t))
	for i, e := range t {
		names[i] = e.Name
	}
	return names
}

// Parse reads "name" or "name?key=value&…" and returns the name, and what makes the
// algorithm. An empty spec is the first of the table.
func (t Table) Parse(spec string) (name string, m Maker, err error) {
	name, options, _ := strings.Cut(spec, "?")
	if spec == "" && len(t) > 0 {
		name = t[0].Name
	}
	for _, e := range t {
		if e.Name == name {
			m, err = e.parse(options)
			return name, m, err
		}
	}
	return name, nil, fmt.Errorf("there is no %q, there is %s", name, strings.Join(t.Names(), ", "))
}

// Creators returns the table in the form that package sim takes: what makes one algorithm
// from what stands behind the question mark.
func (t Table) Creators() map[string]func(options string) (congestion.Algorithm, error) {
	all := make(map[string]func(options string) (congestion.Algorithm, error), len(t))
	for _, e := range t {
		all[e.Name] = func(options string) (congestion.Algorithm, error) {
			m, err := e.parse(options)
			if err != nil {
				return nil, err
			}
			return m(), nil
		}
	}
	return all
}

// parse reads the options of an entry and returns what makes it.
func (e Entry) parse(options string) (Maker, error) {
	v, err := e.values(options)
	if err != nil {
		return nil, err
	}
	m, err := e.New(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	return m, nil
}
