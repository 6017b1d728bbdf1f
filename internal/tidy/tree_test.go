package tidy

import (
	"os"
	"testing"
)

func TestTheTreeKeepsTheRules(t *testing.T) {
	tree, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Packages) < 10 {
		t.Fatalf("found %d packages: is this the root of the module?", len(tree.Packages))
	}
	for _, f := range tree.Check() {
		t.Error(f)
	}
}
