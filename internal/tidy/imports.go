package tidy

import (
	"path"
	"strconv"
	"strings"
)

// A row of the table says what the packages of a directory may import besides the standard
// library. A pattern is a package ("mono") or a tree ("congestion/..."); of this module
// without the module's path, of others with it.
type row struct {
	dir   string
	may   []string
	never []string // not even their tests
}

// anything allows what no rule forbids to everybody.
const anything = "*"

// table is the layering of ARCHITECTURE.md, the most particular pattern first. Tests may
// import more than their package, but not what never holds.
var table = []row{
	{dir: "mono"},
	{dir: "stack/seq"},
	{dir: "stack/wire", may: []string{"stack/seq"}},
	{dir: "congestion/congestiontest", may: []string{"mono", "congestion"}, never: []string{"stack/...", "sim"}},
	{dir: "congestion/...", may: []string{"mono", "congestion/..."}, never: []string{"stack/...", "sim"}},

	{dir: "stack/queue"},
	{dir: "stack/spin"},
	// reno is what the guard puts in the place of an algorithm that misbehaves.
	{
		dir:   "stack/tcp",
		may:   []string{"mono", "stack/seq", "stack/wire", "stack/queue", "congestion", "congestion/reno"},
		never: []string{"dataplane/...", "loader/...", "bpf", "sim"},
	},
	{
		dir: "stack/engine/...",
		may: []string{
			"mono", "stack/seq", "stack/wire", "stack/queue", "stack/tcp", "stack/engine/...",
			"congestion/...", "dataplane",
		},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},
	// What a socket does, without waiting: for the shell, and for whoever plays scripts.
	{
		dir:   "stack/socket",
		may:   []string{"mono", "stack/queue", "stack/tcp", "stack/engine", "congestion/..."},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},
	{
		dir:   "stack",
		may:   []string{"mono", "stack/queue", "stack/engine", "stack/socket", "stack/spin", "congestion/...", "dataplane", "internal/alarm", "internal/thread"},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},

	{dir: "dataplane", may: []string{"mono"}, never: []string{"loader/...", "stack"}},
	// The format of capture files is a library's; nothing of it is in anybody's packets' way
	// unless a capture was asked for.
	{
		dir:   "dataplane/pcap",
		may:   []string{"mono", "dataplane", "github.com/gopacket/gopacket/..."},
		never: []string{"loader/...", "stack"},
	},
	{
		dir:   "dataplane/...",
		may:   []string{"mono", "dataplane", "golang.org/x/sys/..."},
		never: []string{"loader/...", "stack"},
	},
	{dir: "bpf", may: []string{"github.com/cilium/ebpf/..."}},
	{
		dir: "loader/...",
		may: []string{
			"bpf", "loader/...", "github.com/cilium/ebpf/...", "github.com/vishvananda/...",
			"golang.org/x/sys/...",
		},
		never: []string{"dataplane/...", "stack/..."},
	},

	{
		dir: "sim/...",
		may: []string{
			"mono", "stack/seq", "stack/wire", "stack/queue", "stack/tcp", "stack/engine", "congestion/...",
			"dataplane", "dataplane/pipe", "dataplane/fault", "dataplane/pcap", "sim/...",
		},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},
	// What is recorded of connections, as files. The format of captures is a library's.
	{
		dir:   "trace",
		may:   []string{"mono", "congestion", "github.com/gopacket/gopacket/..."},
		never: []string{"stack/...", "dataplane/...", "loader/...", "sim"},
	},
	// The form of scenario files is a library's.
	{
		dir:   "sim/scenario",
		may:   []string{"sim", "stack/tcp", "github.com/pelletier/go-toml/v2/..."},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},
	// The player of scripts is the application and the peer of an engine.
	{
		dir: "internal/transcript",
		may: []string{
			"internal/pktdrill", "mono", "stack/seq", "stack/wire", "stack/tcp", "stack/engine", "stack/socket",
			"congestion/...", "dataplane",
		},
		never: []string{"dataplane/xsk", "loader/...", "bpf"},
	},
	{dir: "internal/...", may: []string{
		"internal/...", "github.com/vishvananda/...", "golang.org/x/sys/...",
	}},
	{dir: ".", may: []string{anything}},
	{dir: "cmd/...", may: []string{anything}},
	{dir: "bench/...", may: []string{anything}},
	{dir: "examples/...", may: []string{anything}},
}

// tops are at the top of the tree: nothing imports them but what stands there itself.
var tops = []string{"sim", "bench", "cmd", "examples"}

// imports checks the imports of a package against the table.
func (t *Tree) imports(p *Package) []Finding {
	r, ok := rowOf(p.Dir)
	if !ok {
		f := p.Files[0]
		return []Finding{t.finding(f, f.AST.Package,
			"package %s is not in the table of imports: give it a row in internal/tidy/imports.go", p.Dir)}
	}
	var found []Finding
	for _, f := range p.Files {
		for _, spec := range f.AST.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil || isStandard(imported) {
				continue
			}
			what, own := cutModule(imported)
			switch {
			case own && isTop(what) && !mayUseTops(p.Dir, f.Test):
				found = append(found, t.finding(f, spec.Pos(),
					"%s imports %s, which nothing below cmd does: turn the dependency round", p.Dir, what))
			case matchAny(r.never, what):
				found = append(found, t.finding(f, spec.Pos(),
					"%s imports %s, which it never may, nor its tests: hand over a value or an interface from above",
					p.Dir, what))
			case !f.Test && !matchAny(r.may, what):
				found = append(found, t.finding(f, spec.Pos(),
					"%s may not import %s: see its row in internal/tidy/imports.go, and ARCHITECTURE.md for why",
					p.Dir, what))
			}
		}
	}
	return found
}

// rowOf returns the row of a directory: an exact one, or that of the longest tree.
func rowOf(dir string) (best row, ok bool) {
	for _, r := range table {
		if r.dir == dir {
			return r, true
		}
		if match(r.dir, dir) && len(r.dir) > len(best.dir) {
			best, ok = r, true
		}
	}
	return best, ok
}

// mayUseTops says whether a package stands at the top of the tree itself. Tests of the
// algorithms do not: what needs the simulator is a test of the simulator.
func mayUseTops(dir string, test bool) bool {
	return isTop(dir) || dir == "." && test
}

func isTop(dir string) bool {
	first, _, _ := strings.Cut(dir, "/")
	return matchAny(tops, first)
}

func matchAny(patterns []string, what string) bool {
	for _, p := range patterns {
		if match(p, what) {
			return true
		}
	}
	return false
}

func match(pattern, what string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return what == tree || strings.HasPrefix(what, tree+"/")
	}
	return pattern == anything || pattern == what
}

// cutModule returns an import path from the root of the module, and whether it is of it.
func cutModule(imported string) (dir string, own bool) {
	if imported == Module {
		return ".", true
	}
	return strings.CutPrefix(imported, Module+"/")
}

// isStandard says whether a path is of the standard library: its first element is no
// domain.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(path.Clean(imported), "/")
	return !strings.Contains(first, ".")
}
