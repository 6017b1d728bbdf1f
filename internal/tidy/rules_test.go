package tidy

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

const own = `"` + Module + "/"

// fixture is one file of a small module, and what the rules say about it.
type fixture struct {
	name string
	path string
	src  string   // for Go files, what follows the package clause
	want []string // "line: part of the rule", in order; none: the rules are content
}

// check applies the rules to the fixture alone. A Go file gets a documented package clause
// on its lines 1 and 2, unless it has one.
func (f fixture) check(t *testing.T) []Finding {
	t.Helper()
	src := f.src
	if strings.HasSuffix(f.path, ".go") && !strings.Contains(src, "package ") {
		elements := strings.Split(f.path, "/")
		src = fmt.Sprintf("// Package is explained.\npackage %s\n%s", elements[len(elements)-2], f.src)
	}
	tree, err := Load(fstest.MapFS{f.path: {Data: []byte(src)}})
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	return tree.Check()
}

func wantFindings(t *testing.T, fixtures []fixture) {
	t.Helper()
	for _, f := range fixtures {
		got := f.check(t)
		ok := len(got) == len(f.want)
		for i := range min(len(got), len(f.want)) {
			line, text, _ := strings.Cut(f.want[i], ": ")
			ok = ok && fmt.Sprint(got[i].Line) == line && strings.Contains(got[i].Rule, text)
		}
		if !ok {
			t.Errorf("%s: got %q, want %q", f.name, got, f.want)
		}
	}
}

func TestImports(t *testing.T) {
	wantFindings(t, []fixture{
		{"the core uses the plug", "stack/tcp/x.go", "import _ " + own + `congestion"`, nil},
		{"the core uses the byte queue", "stack/tcp/x.go", "import _ " + own + `stack/queue"`, nil},
		{"the core uses a port", "stack/tcp/x.go", "import _ " + own + `dataplane"`, []string{"3: never"}},
		{"so does its test", "stack/tcp/x_test.go", "import _ " + own + `dataplane/pipe"`, []string{"3: never"}},
		{"an algorithm uses the stack", "congestion/reno/x.go", "import _ " + own + `stack/seq"`, []string{"3: never"}},
		{"an algorithm uses another", "congestion/cubic/x.go", "import _ " + own + `congestion/hystart"`, nil},
		{"the engine uses the pipe", "stack/engine/x.go", "import _ " + own + `dataplane/pipe"`, []string{"3: may not"}},
		{"its test may", "stack/engine/x_test.go", "import _ " + own + `dataplane/pipe"`, nil},
		{"but not AF_XDP", "stack/engine/x_test.go", "import _ " + own + `dataplane/xsk"`, []string{"3: never"}},
		{"the loader uses the data plane", "loader/x.go", "import _ " + own + `dataplane/xsk"`, []string{"3: never"}},
		{"the data plane uses the loader", "dataplane/xsk/x.go", "import _ " + own + `loader"`, []string{"3: never"}},
		{"hostnet is of the loader", "loader/hostnet/x.go", `import _ "github.com/vishvananda/netlink"`, nil},
		{"a leaf uses x/sys", "mono/x.go", `import _ "golang.org/x/sys/unix"`, []string{"3: may not"}},
		{"a wrapper uses x/sys", "dataplane/fault/x.go", `import _ "golang.org/x/sys/unix"`, nil},
		{"captures use a library", "dataplane/pcap/x.go", `import _ "github.com/gopacket/gopacket/pcapgo"`, nil},
		{"another wrapper does", "dataplane/fault/x.go", `import _ "github.com/gopacket/gopacket"`, []string{"3: may not"}},
		{"the shell uses the simulator", "stack/x_test.go", "import _ " + own + `sim"`, []string{"3: turn the"}},
		{"a command uses the simulator", "cmd/millrace/x.go", "// Doc.\npackage main\nimport _ " + own + `sim"`, nil},
		{"the root package joins all", "x.go", "// Doc.\npackage millrace\nimport _ " + own + `dataplane/xsk"`, nil},
		{"but not the simulator", "x.go", "// Doc.\npackage millrace\nimport _ " + own + `sim"`, []string{"3: turn the"}},
		{"nobody knows the package", "stack/new/x.go", "", []string{"2: give it a row"}},
	})
}

func TestPurity(t *testing.T) {
	wantFindings(t, []fixture{
		{"the clock", "stack/tcp/x.go", "import \"time\"\nvar t = time.Now()", []string{"4: time.Now"}},
		{"the clock by another name", "stack/tcp/x.go", "import c \"time\"\nvar t = c.Since", []string{"4: c.Since"}},
		{"a duration", "stack/tcp/x.go", "import \"time\"\nconst d = time.Second", nil},
		{"the clock in a test", "stack/tcp/x_test.go", "import \"time\"\nvar t = time.Now()", nil},
		{"the clock in the shell", "stack/x.go", "import \"time\"\nvar t = time.Now()", nil},
		{"a goroutine", "stack/engine/x.go", "func f() { go f() }", []string{"3: starts a goroutine"}},
		{"a lock", "stack/wire/x.go", `import _ "sync"`, []string{"3: imports sync"}},
		{"a lock in the queue", "stack/queue/x.go", `import _ "sync"`, nil},
		{"atomics in the queue", "stack/queue/x.go", `import _ "sync/atomic"`, nil},
		{"a lock in the mailbox", "stack/engine/mailbox.go", `import _ "sync"`, nil},
		{"a lock beside the mailbox", "stack/engine/engine.go", `import _ "sync"`, []string{"3: imports sync"}},
		{"a channel", "congestion/bbr/x.go", "type c chan int", []string{"3: channel"}},
		{"sockets", "stack/tcp/x.go", `import _ "net"`, []string{"3: imports net"}},
		{"addresses", "stack/engine/x.go", `import _ "net/netip"`, nil},
		{"files", "stack/seq/x.go", `import _ "os"`, []string{"3: imports os"}},
		{"a log", "mono/x.go", `import _ "log/slog"`, []string{"3: imports log/slog"}},
		{"init", "mono/x.go", "func init() {}", []string{"3: init"}},
		{"a method named init", "mono/x.go", "type t int\nfunc (t) init() {}", nil},
		{"the shared random source", "congestion/bbr/x.go",
			"import \"math/rand/v2\"\nvar n = rand.IntN(3)", []string{"4: rand.IntN"}},
		{"a random source of one's own", "congestion/bbr/x.go",
			"import \"math/rand/v2\"\nvar n = rand.NewPCG", nil},
		{"the suite for algorithms", "congestion/congestiontest/x.go", `import _ "testing"`, nil},
	})
}

func TestVariables(t *testing.T) {
	wantFindings(t, []fixture{
		{"an error", "mono/x.go", "import \"errors\"\nvar errX = errors.New(\"x\")", nil},
		{"a table that is read", "mono/x.go", "var table = [2]int{1, 2}\nfunc f(i int) int { return table[i] }", nil},
		{"a variable assigned to", "mono/x.go", "var n int\nfunc f() { n = 1 }", []string{"4: variable n"}},
		{"one counted up", "mono/x.go", "var n int\nfunc f() { n++ }", []string{"4: variable n"}},
		{"an element", "mono/x.go", "var m = map[int]int{}\nfunc f() { m[1] = 2 }", []string{"4: variable m"}},
		{"a field", "mono/x.go", "var s struct{ n int }\nfunc f() { s.n += 2 }", []string{"4: variable s"}},
		{"a deletion", "mono/x.go", "var m map[int]int\nfunc f() { delete(m, 1) }", []string{"4: variable m"}},
		{"an address", "mono/x.go", "var n int\nfunc f() *int { return &n }", []string{"4: variable n"}},
		{"a pointer method", "mono/x.go",
			"type c int\nfunc (x *c) inc() { *x++ }\nvar n c\nfunc f() { n.inc() }", []string{"6: variable n"}},
		{"a value method", "mono/x.go",
			"type c int\nfunc (x c) get() int { return int(x) }\nvar n c\nfunc f() int { return n.get() }", nil},
		{"a local of the same name", "mono/x.go", "var n = 1\nfunc f() { n := n; n++; _ = n }", nil},
		{"outside the pure packages", "loader/x.go", "var n int\nfunc f() { n = 1 }", nil},
	})
}

func TestUnsafety(t *testing.T) {
	use := "import \"unsafe\"\nfunc f(b []byte) *int {\n\t%s\n\treturn (*int)(unsafe.Pointer(&b[0]))\n}"
	explained, bare := fmt.Sprintf(use, "// Safety: b is aligned."), fmt.Sprintf(use, "// It is.")
	wantFindings(t, []fixture{
		{"in the core", "stack/tcp/x_unsafe.go", explained, []string{"2: imports unsafe"}},
		{"in a file of another name", "dataplane/xsk/ring.go", explained, []string{"2: imports unsafe"}},
		{"where it may be", "dataplane/xsk/ring_unsafe.go", explained, nil},
		{"on one system", "dataplane/xsk/ring_unsafe_linux.go", explained, nil},
		{"unexplained", "dataplane/xsk/ring_unsafe.go", bare, []string{"6: Safety:"}},
		{"a size", "dataplane/xsk/ring_unsafe.go", "import \"unsafe\"\nconst n = unsafe.Sizeof(1)", nil},
	})
}

func TestShape(t *testing.T) {
	function := func(lines int) string { return "func f() {\n" + strings.Repeat("_ = 1\n", lines-2) + "}" }
	wantFindings(t, []fixture{
		{"a function of a screen", "stack/x.go", function(FuncMax), nil},
		{"a longer one", "stack/x.go", function(FuncMax + 1), []string{"3: func f has 71 lines"}},
		{"a test with a table", "stack/x_test.go", function(TestFuncMax), nil},
		{"a longer test", "stack/x_test.go", function(TestFuncMax + 1), []string{"3: func f has 121 lines"}},
		{"a file of a sitting", "stack/x.go", strings.Repeat("\n", FileMax-2), nil},
		{"a longer one", "stack/x.go", strings.Repeat("\n", FileMax-1), []string{"501: has 501 lines"}},
		{"a vague name", "internal/util/x.go", "", []string{"2: says nothing"}},
		{"a name unlike the directory's", "stack/x.go", "// Doc.\npackage shell", []string{"2: give both one name"}},
		{"an external test", "stack/x_test.go", "package stack_test", nil},
	})
}

func TestDocs(t *testing.T) {
	wantFindings(t, []fixture{
		{"nothing exported", "stack/x.go", "func f() {}\ntype t int\nfunc (t) M() {}", nil},
		{"a function", "stack/x.go", "func F() {}", []string{"3: F is exported"}},
		{"a method", "stack/x.go", "// T is.\ntype T int\nfunc (t *T) M() {}", []string{"5: T.M is exported"}},
		{"a directive alone", "stack/x.go", "//go:noinline\nfunc F() {}", []string{"4: F is exported"}},
		{"constants in a group", "stack/x.go", "// They are.\nconst (\n\tA = 1\n\tB = 2\n)", nil},
		{"a comment on the line", "stack/x.go", "const (\n\tA = 1 // is\n\tB = 2\n)", []string{"5: B is exported"}},
		{"types in a group", "stack/x.go", "// They are.\ntype (\n\tA int\n)", []string{"5: A is exported"}},
		{"a test", "stack/x_test.go", "func TestX() {}", nil},
		{"a package", "stack/x.go", "package stack", []string{"1: package stack has no doc"}},
		{"a program", "cmd/millrace/x.go", "// Command is.\npackage main\nfunc F() {}", nil},
	})
}

func TestManners(t *testing.T) {
	sleep := "import (\n\t\"time\"\n%s)\nfunc f() { time.Sleep(1) }"
	wantFindings(t, []fixture{
		{"a sleep in a test", "stack/x_test.go", fmt.Sprintf(sleep, ""), []string{"6: a test sleeps"}},
		{"in virtual time", "stack/x_test.go", fmt.Sprintf(sleep, "\t_ \"testing/synctest\"\n"), nil},
		{"outside tests", "stack/x.go", fmt.Sprintf(sleep, ""), nil},
		{"an error that failed to", "stack/x.go",
			"import \"fmt\"\nvar err = fmt.Errorf(\"failed to dial\")", []string{"4: says \"failed to\""}},
		{"an error with a verb", "stack/x.go", "import \"fmt\"\nvar err = fmt.Errorf(\"stack: dial\")", nil},
	})
}

func TestATwinIsExplainedOnce(t *testing.T) {
	const twin = "package x\n\nfunc F() {}\n"
	for doc, want := range map[string]int{"// F is.\nfunc F() {}\n": 0, "func F() {}\n": 2} {
		tree, err := Load(fstest.MapFS{
			"bench/x/x_linux.go": {Data: []byte("// Package x is.\npackage x\n\n" + doc)},
			"bench/x/x_other.go": {Data: []byte(twin)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.Check(); len(got) != want {
			t.Errorf("got %q, want %d findings", got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	home := "/" + "home/gopher"
	header := "// Code generated by hand. DO NOT EDIT.\n\n// Package bpf is.\npackage bpf\n"
	wantFindings(t, []fixture{
		{"a path in a document", "docs/x.md", "one\nsee " + home + "\n", []string{"2: " + home}},
		{"in an object file", "bpf/x.o", "\x00" + home + "/x.c\x00", []string{"1: " + home}},
		{"a path in an address", "docs/x.md", "https://example.org" + home + "\n", nil},
		{"a path below a variable", "docs/x.md", "$X/root/y ~/work/x ./home/z\n", nil},
		{"the user's own", "docs/x.md", "$HOME/src\n", nil},
		{"a generated file without its header", "bpf/x_bpfel.go", "", []string{"2: no \"Code generated"}},
		{"a header without a generator", "bpf/x.go", header, []string{"4: no file beside it has a //go:generate"}},
		{"a C file too long", "bpf/x.c", strings.Repeat("\n", FileMax+1), []string{"501: cut it by subject"}},
	})
}

func TestAFindingReadsLikeACompilersMessage(t *testing.T) {
	f := Finding{"stack/x.go", 7, "wrong: mend it"}
	if got, want := f.String(), "stack/x.go:7: wrong: mend it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLoadSaysWhatDoesNotParse(t *testing.T) {
	_, err := Load(fstest.MapFS{"stack/x.go": {Data: []byte("package")}})
	if err == nil || !strings.Contains(err.Error(), "stack/x.go:1:") {
		t.Errorf("got %v, want an error with the place", err)
	}
	tree, err := Load(fstest.MapFS{"stack/testdata/x.go": {Data: []byte("package")}})
	if err != nil || len(tree.Packages) != 0 {
		t.Errorf("testdata: got %v, %v, want it left alone", tree.Packages, err)
	}
}
