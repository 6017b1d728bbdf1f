package tidy

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"strconv"
)

// pure are the packages that take the time as an argument and return: no clock, goroutine,
// lock, log, I/O or state of their own.
var pure = []string{
	"mono", "stack/seq", "stack/wire", "congestion/...", "stack/tcp", "stack/engine/...", "stack/queue", "stack/spin",
}

// notPure are packages within those trees that are there for tests.
var notPure = []string{"congestion/congestiontest"}

// impureImports are standard packages that do what a pure package may not.
var impureImports = []string{
	"context", "crypto/rand", "log/...", "math/rand", "net", "net/http/...", "net/rpc/...", "os/...",
	"runtime/...", "sync/...", "syscall/...", "testing/...", "plugin", "unique", "weak",
}

// impureCalls are functions of packages that are otherwise harmless.
var impureCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"},
	"fmt":  {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	// The functions of the package draw from a source that the whole process shares.
	"math/rand/v2": {
		"ExpFloat64", "Float32", "Float64", "Int", "Int32", "Int32N", "Int64", "Int64N", "IntN", "N",
		"NormFloat64", "Perm", "Shuffle", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN", "Uint",
	},
}

// meetings are the files of pure packages in which goroutines meet, and which may use locks,
// atomics and channels: the byte queue of a connection, and the mailbox of the engine. Each
// is audited; a file that joins them keeps to what is shared.
var meetings = []string{
	"stack/queue/*.go",
	"stack/engine/mailbox*.go",
	"stack/engine/mailbox/*.go",
}

func mayLock(file *File) bool {
	for _, pattern := range meetings {
		if ok, err := path.Match(pattern, file.Path); ok && err == nil {
			return true
		}
	}
	return false
}

// purity checks a pure package. Its tests may do what they like.
func (t *Tree) purity(p *Package) []Finding {
	if !matchAny(pure, p.Dir) || matchAny(notPure, p.Dir) {
		return nil
	}
	var found []Finding
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		found = append(found, t.impureImports(p, f)...)
		found = append(found, t.impureCode(p, f)...)
	}
	return append(found, t.globals(p)...)
}

func (t *Tree) impureImports(p *Package, f *File) []Finding {
	var found []Finding
	for _, spec := range f.AST.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		lock := match("sync/...", name)
		if err != nil || !matchAny(impureImports, name) || lock && mayLock(f) {
			continue
		}
		remedy := "take what it gives as an argument"
		if lock {
			remedy = "move what is shared to one of the files listed as meetings in internal/tidy/purity.go"
		}
		found = append(found, t.finding(f, spec.Pos(), "%s is pure and imports %s: %s", p.Dir, name, remedy))
	}
	return found
}

func (t *Tree) impureCode(p *Package, f *File) []Finding {
	names := importNames(f.AST)
	var found []Finding
	report := func(at token.Pos, what, remedy string) {
		found = append(found, t.finding(f, at, "%s is pure and %s: %s", p.Dir, what, remedy))
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n.Pos(), "starts a goroutine", "return, and be called again")
		case *ast.ChanType:
			if !mayLock(f) {
				report(n.Pos(), "has a channel", "return what is to be said")
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n.Pos(), "has an init function", "do it in New")
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && matchAny(impureCalls[names[x.Name]], n.Sel.Name) {
				report(n.Pos(), "uses "+x.Name+"."+n.Sel.Name, "take the time, the source or the writer as an argument")
			}
		}
		return true
	})
	return found
}

// globals finds the package-level variables of a package that are written to: by
// assignment, through a method with a pointer receiver, or by whoever is given their
// address. Tables and errors that nobody writes to are constants in all but name.
func (t *Tree) globals(p *Package) []Finding {
	var found []Finding
	info := resolve(t.Fset, p)
	for _, f := range p.Files {
		if f.Test {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			for _, target := range written(n, info) {
				id := root(target)
				if id == nil {
					continue
				}
				if v, ok := info.Uses[id].(*types.Var); ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
					found = append(found, t.finding(f, n.Pos(),
						"%s is pure and writes to its variable %s: keep it in a struct that the caller owns", p.Dir, id.Name))
				}
			}
			return true
		})
	}
	return found
}

// written returns the expressions that a node writes to, or through which others may.
func written(n ast.Node, info *types.Info) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 &&
			(id.Name == "delete" || id.Name == "clear" || id.Name == "copy") {
			return n.Args[:1]
		}
	case *ast.SelectorExpr:
		if s := info.Selections[n]; s != nil && s.Kind() == types.MethodVal {
			method, ok := s.Obj().(*types.Func)
			if ok && isPointer(method.Signature().Recv().Type()) {
				return []ast.Expr{n.X}
			}
		}
	}
	return nil
}

// root returns the variable that an expression such as x.f[i] is part of.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

func isPointer(t types.Type) bool {
	_, ok := t.(*types.Pointer)
	return ok
}

// resolve finds what the identifiers of a package's own files mean. Imports are not
// followed: an expression of another package's type has none, which no rule minds.
func resolve(fset *token.FileSet, p *Package) *types.Info {
	info := &types.Info{
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	var files []*ast.File
	for _, f := range p.Files {
		if !f.Test {
			files = append(files, f.AST)
		}
	}
	config := types.Config{Importer: noImports{}, Error: func(error) {}}
	// The errors are those of the imports that were not followed.
	_, _ = config.Check(p.Dir, fset, files, info)
	return info
}

// noImports is an importer for which every package is empty.
type noImports struct{}

// Import returns an empty package.
func (noImports) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

// importNames returns the import path behind each name that a file uses for a package.
func importNames(f *ast.File) map[string]string {
	names := make(map[string]string)
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(imported)
		if name == "v2" {
			name = path.Base(path.Dir(imported))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	return names
}
