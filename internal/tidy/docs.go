package tidy

import (
	"go/ast"
	"go/token"
)

// docs checks that a package and what it exports are explained. Tests, generated files and
// programs export nothing to anybody. A name that has a twin for another system is
// explained once.
func (t *Tree) docs(p *Package) []Finding {
	var found []Finding
	var first *File
	explained := false
	documented := make(map[string]bool)
	for _, f := range p.Files {
		if f.Test || f.Generated {
			continue
		}
		if first == nil {
			first = f
		}
		explained = explained || hasDoc(f.AST.Doc)
		for _, d := range exported(f.AST) {
			documented[d.key] = documented[d.key] || d.documented
		}
	}
	if first != nil && !explained {
		found = append(found, t.finding(first, first.AST.Package,
			"package %s has no doc comment: say what it is and who uses it", first.AST.Name.Name))
	}
	for _, f := range p.Files {
		if f.Test || f.Generated || f.AST.Name.Name == "main" {
			continue
		}
		for _, d := range exported(f.AST) {
			if !documented[d.key] {
				found = append(found, t.finding(f, d.name.Pos(),
					"%s is exported and has no doc comment: say what it is, who owns it, who may call it", d.key))
			}
		}
	}
	return found
}

// export is a declaration of an exported name.
type export struct {
	name       *ast.Ident
	key        string // the name, of a method with its type
	documented bool
}

// exported returns what a file exports.
func exported(f *ast.File) []export {
	var all []export
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			owner, ok := receiver(d)
			if ok && d.Name.IsExported() {
				all = append(all, export{d.Name, owner + d.Name.Name, hasDoc(d.Doc)})
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				all = append(all, exportedBy(d, spec)...)
			}
		}
	}
	return all
}

func exportedBy(d *ast.GenDecl, spec ast.Spec) []export {
	var all []export
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Name.IsExported() {
			// A comment above a parenthesis says what the types have in common.
			alone := d.Lparen == token.NoPos
			all = append(all, export{spec.Name, spec.Name.Name, hasDoc(spec.Doc) || alone && hasDoc(d.Doc)})
		}
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			if id.IsExported() {
				all = append(all, export{id, id.Name, hasDoc(spec.Doc) || hasDoc(spec.Comment) || hasDoc(d.Doc)})
			}
		}
	}
	return all
}

// receiver returns the type that a function is a method of, with a dot, and whether what
// it is a method of is exported; a plain function is of nothing, which is.
func receiver(fn *ast.FuncDecl) (owner string, ok bool) {
	if fn.Recv == nil {
		return "", true
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name + ".", x.IsExported()
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		default:
			return "", false
		}
	}
}

// hasDoc says whether there is text in a comment that is for people: directives are not.
func hasDoc(doc *ast.CommentGroup) bool { return doc != nil && doc.Text() != "" }
