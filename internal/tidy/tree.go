// Package tidy holds the rules of the house that a program can check: who may import whom,
// what the pure packages may not do, where unsafe may stand, how long files and functions
// may grow, what has a doc comment. Its test applies them to the whole tree and fails the
// build; each finding says where, which rule, and what to do.
//
// It reads the sources as they lie, without the go command, in well under a second.
package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Module is the path of the module that the rules are about.
const Module = "github.com/millrace-tcp/millrace"

// textMax is the largest file that is searched for paths: more than any source has.
const textMax = 4 << 20

// Tree is the sources of a module, parsed.
type Tree struct {
	Fset     *token.FileSet
	Packages []*Package // by directory, in order
	Texts    []Text     // every file, Go or not, in order
}

// Package is the Go files of one directory, its external tests included.
type Package struct {
	Dir   string // slash-separated, from the root of the module; "." is the root
	Files []*File
}

// File is a Go file.
type File struct {
	Path      string
	AST       *ast.File
	Test      bool
	Generated bool
	lines     int
}

// Text is a file as it lies on the disk.
type Text struct {
	Path string
	Src  []byte
}

// Finding is a place that breaks a rule.
type Finding struct {
	Path string
	Line int
	Rule string // what is wrong, and after a colon the remedy
}

// String returns the finding as compilers write them.
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Rule) }

// Load reads and parses a module. Directories of version control and of build products,
// and the testdata that the go command does not compile, hold no packages.
func Load(module fs.FS) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet()}
	packages := make(map[string]*Package)
	err := fs.WalkDir(module, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == ".git" || name == "bin" || d.Name() == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		// In a work tree of its own .git is a file, with the path of the repository.
		if !d.Type().IsRegular() || isProduct(name) || name == ".git" {
			return nil
		}
		src, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		if len(src) <= textMax {
			t.Texts = append(t.Texts, Text{name, src})
		}
		if path.Ext(name) != ".go" || inTestdata(name) {
			return nil
		}
		return t.parse(packages, name, src)
	})
	if err != nil {
		return nil, fmt.Errorf("tidy: load module: %w", err)
	}
	for _, p := range packages {
		t.Packages = append(t.Packages, p)
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return t, nil
}

func (t *Tree) parse(packages map[string]*Package, name string, src []byte) error {
	// Identifiers are resolved by go/types where a rule needs it.
	const mode = parser.ParseComments | parser.SkipObjectResolution
	file, err := parser.ParseFile(t.Fset, name, src, mode)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if packages[dir] == nil {
		packages[dir] = &Package{Dir: dir}
	}
	packages[dir].Files = append(packages[dir].Files, &File{
		Path:      name,
		AST:       file,
		Test:      strings.HasSuffix(name, "_test.go"),
		Generated: ast.IsGenerated(file),
		lines:     bytes.Count(src, []byte("\n")),
	})
	return nil
}

// Check applies every rule.
func (t *Tree) Check() []Finding {
	var all []Finding
	for _, p := range t.Packages {
		all = append(all, t.imports(p)...)
		all = append(all, t.purity(p)...)
		all = append(all, t.unsafety(p)...)
		all = append(all, t.shape(p)...)
		all = append(all, t.docs(p)...)
		all = append(all, t.manners(p)...)
		all = append(all, t.generated(p)...)
	}
	all = append(all, t.texts()...)
	slices.SortStableFunc(all, func(a, b Finding) int {
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return a.Line - b.Line
	})
	return all
}

func (t *Tree) finding(file *File, at token.Pos, format string, args ...any) Finding {
	return Finding{file.Path, t.Fset.Position(at).Line, fmt.Sprintf(format, args...)}
}

// isProduct says whether a file is what tests and profiles leave behind, as .gitignore has
// it.
func isProduct(name string) bool {
	return slices.Contains([]string{".test", ".out", ".pcapng"}, path.Ext(name)) && !inTestdata(name)
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(name, "/"), "testdata")
}
