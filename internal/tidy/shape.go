package tidy

import (
	"go/ast"
	"path"
	"slices"
	"strings"
)

const (
	// FileMax is the most lines of a file: one idea, read in one sitting.
	FileMax = 500
	// FuncMax is the most lines of a function: one job, seen on one screen.
	FuncMax = 70
	// TestFuncMax is that of a function in a test, where tables are data that one reads
	// row by row.
	TestFuncMax = 120
)

// vague are names that say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "type", "types", "misc", "base", "shared"}

// shape checks names and lengths.
func (t *Tree) shape(p *Package) []Finding {
	var found []Finding
	for _, f := range p.Files {
		if f.Generated {
			continue
		}
		name := strings.TrimSuffix(f.AST.Name.Name, "_test")
		if slices.Contains(vague, name) {
			found = append(found, t.finding(f, f.AST.Package,
				"package %s says nothing: name it after what it provides", name))
		}
		if p.Dir != "." && name != "main" && name != path.Base(p.Dir) {
			found = append(found, t.finding(f, f.AST.Package,
				"package %s lies in a directory %s: give both one name", name, path.Base(p.Dir)))
		}
		if f.lines > FileMax {
			found = append(found, t.finding(f, f.AST.FileEnd,
				"the file has %d lines, more than %d: cut it by subject", f.lines, FileMax))
		}
		found = append(found, t.functions(f)...)
	}
	return found
}

func (t *Tree) functions(f *File) []Finding {
	limit := FuncMax
	if f.Test {
		limit = TestFuncMax
	}
	var found []Finding
	for _, d := range f.AST.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Pos()).Line + 1
		if lines > limit {
			found = append(found, t.finding(f, fn.Pos(),
				"func %s has %d lines, more than %d: name its parts and move them out", fn.Name.Name, lines, limit))
		}
	}
	return found
}
