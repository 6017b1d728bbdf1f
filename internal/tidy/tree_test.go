package tidy

import (
	"os"
	"testing"
	"time"
)

// timeMax is how long the check of the tree may take: it runs with every "go test".
const timeMax = 3 * time.Second

func TestTheTreeKeepsTheRules(t *testing.T) {
	start := time.Now()
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
	if d := time.Since(start); d > timeMax {
		t.Errorf("the check took %v, want at most %v", d, timeMax)
	}
}
