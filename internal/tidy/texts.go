package tidy

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// homePath finds a path that exists on one machine only: below a home directory, or below
// a directory that somebody works in.
var homePath = regexp.MustCompile(`(?:^|[^\w./$}~-])/(?:home|Users|root|work|workspace)/[\w.-]+`)

// generatedNames are endings of file names that generators choose.
var generatedNames = []string{"_bpfel.go", "_bpfeb.go", ".pb.go", "_gen.go", "_string.go"}

// generated checks that a generated file says so, and that what says so is generated: the
// header is no way round the other rules.
func (t *Tree) generated(p *Package) []Finding {
	hasDirective := false
	for _, f := range p.Files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				hasDirective = hasDirective || !f.Generated && strings.HasPrefix(c.Text, "//go:generate ")
			}
		}
	}
	var found []Finding
	for _, f := range p.Files {
		byName := false
		for _, end := range generatedNames {
			byName = byName || strings.HasSuffix(f.Path, end)
		}
		if byName && !f.Generated {
			found = append(found, t.finding(f, f.AST.Package,
				"%s is named as a generated file and has no \"Code generated ... DO NOT EDIT.\" header: "+
					"let the generator write it, or rename the file", path.Base(f.Path)))
		}
		if f.Generated && !hasDirective {
			found = append(found, t.finding(f, f.AST.Package,
				"the file says it is generated, and no file beside it has a //go:generate line: add one, or take the header out"))
		}
	}
	return found
}

// texts checks every file, Go or not, for what belongs to one machine. Objects that a
// compiler made are searched too: they keep the paths of their sources.
func (t *Tree) texts() []Finding {
	var found []Finding
	for _, text := range t.Texts {
		for _, at := range homePath.FindAllIndex(text.Src, -1) {
			match := string(bytes.Trim(text.Src[at[0]:at[1]], " \t\r\n\"'`(=:,\x00"))
			line := 1 + bytes.Count(text.Src[:at[0]+1], []byte("\n"))
			found = append(found, Finding{text.Path, line,
				"the path " + match + " exists on one machine only: make it relative, or ask the environment"})
		}
		if ext := path.Ext(text.Path); ext == ".c" || path.Base(path.Dir(text.Path)) == "bpf" && ext == ".h" {
			lines := bytes.Count(text.Src, []byte("\n"))
			if lines > FileMax && !bytes.Contains(text.Src[:min(len(text.Src), 400)], []byte("generated")) {
				found = append(found, Finding{text.Path, lines,
					"the C file is longer than that of any Go file may be: cut it by subject"})
			}
		}
	}
	return found
}
