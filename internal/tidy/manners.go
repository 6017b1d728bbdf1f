package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// manners checks two habits that reviewers would otherwise have to look for: tests that
// sleep, and errors that say "failed to".
func (t *Tree) manners(p *Package) []Finding {
	var found []Finding
	for _, f := range p.Files {
		if f.Generated {
			continue
		}
		names := importNames(f.AST)
		virtual := false // in a bubble of synctest a sleep takes no time
		for _, imported := range names {
			virtual = virtual || imported == "testing/synctest"
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch names[x.Name] + "." + sel.Sel.Name {
			case "time.Sleep":
				if f.Test && !virtual {
					found = append(found, t.finding(f, n.Pos(),
						"a test sleeps: ask for what it waits for with testutil.Eventually, or use virtual time"))
				}
			case "errors.New", "fmt.Errorf":
				if says(call, "failed to") {
					found = append(found, t.finding(f, n.Pos(),
						"an error says \"failed to\": write \"package: verb object: cause\""))
				}
			}
			return true
		})
	}
	return found
}

// says whether the first argument of a call is a literal with these words.
func says(call *ast.CallExpr, words string) bool {
	if len(call.Args) == 0 {
		return false
	}
	lit, ok := call.Args[0].(*ast.BasicLit)
	return ok && lit.Kind == token.STRING && strings.Contains(lit.Value, words)
}
