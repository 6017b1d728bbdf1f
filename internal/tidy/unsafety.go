package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// safetyReach is how many lines above a use of unsafe its "Safety:" comment may end: the
// statement that it explains may have a few lines.
const safetyReach = 6

// unsafety checks that unsafe stays where it is looked for, and is explained there.
func (t *Tree) unsafety(p *Package) []Finding {
	var found []Finding
	for _, f := range p.Files {
		if f.Generated || !importsUnsafe(f.AST) {
			continue
		}
		base := strings.TrimSuffix(strings.TrimSuffix(f.Path, ".go"), "_test")
		for _, suffix := range []string{"_linux", "_amd64", "_arm64"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if p.Dir != "dataplane/xsk" || !strings.HasSuffix(base, "_unsafe") {
			found = append(found, t.finding(f, f.AST.Package,
				"the file imports unsafe: only *_unsafe.go of dataplane/xsk may; call it, or x/sys/unix"))
			continue
		}
		found = append(found, t.unexplained(f)...)
	}
	return found
}

// unexplained finds the uses of unsafe that can go wrong and have no "Safety:" comment.
func (t *Tree) unexplained(f *File) []Finding {
	var safety []int // the lines on which such comments end
	for _, c := range f.AST.Comments {
		if strings.Contains(c.Text(), "Safety:") {
			safety = append(safety, t.Fset.Position(c.End()).Line)
		}
	}
	var found []Finding
	for _, d := range f.AST.Decls {
		fn, _ := d.(*ast.FuncDecl)
		if fn != nil && fn.Doc != nil && strings.Contains(fn.Doc.Text(), "Safety:") {
			continue // it speaks for the whole function
		}
		ast.Inspect(d, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if ok && isUnsafeUse(sel) && !t.covered(safety, sel.Pos()) {
				found = append(found, t.finding(f, sel.Pos(),
					"unsafe.%s without a \"// Safety:\" comment above: say why it holds", sel.Sel.Name))
			}
			return true
		})
	}
	return found
}

func (t *Tree) covered(safety []int, use token.Pos) bool {
	line := t.Fset.Position(use).Line
	for _, s := range safety {
		if s <= line && line-s <= safetyReach {
			return true
		}
	}
	return false
}

// isUnsafeUse leaves out what the compiler computes: sizes and offsets.
func isUnsafeUse(sel *ast.SelectorExpr) bool {
	x, ok := sel.X.(*ast.Ident)
	if !ok || x.Name != "unsafe" {
		return false
	}
	return sel.Sel.Name != "Sizeof" && sel.Sel.Name != "Offsetof" && sel.Sel.Name != "Alignof"
}

func importsUnsafe(f *ast.File) bool {
	for _, spec := range f.Imports {
		if spec.Path.Value == `"unsafe"` {
			return true
		}
	}
	return false
}
