package tcp_test

import (
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/internal/transcript"
)

var transcripts = flag.String("transcripts", "testdata", "directory of packetdrill scripts, searched recursively")

// TestTranscripts plays every script below -transcripts, at ordinary sequence numbers and
// across the end of their space. A line says how each went. Files x@1.pkt, x@2.pkt are
// alternatives that an RFC leaves open: one of them must pass.
func TestTranscripts(t *testing.T) {
	files := scriptFiles(t, *transcripts)
	if len(files) == 0 {
		t.Fatalf("there is no script in %s", *transcripts)
	}
	// packetdrill does not compare echoed timestamps, and scripts of others may be wrong in
	// them; ours are not.
	o := transcript.Options{Echo: *transcripts == "testdata", Note: func(text string) { t.Log(text) }}
	rules := make(map[string]bool)
	failures := make(map[string][]string)
	var order []string
	for _, name := range files {
		rule := alternative.ReplaceAllString(name, ".pkt")
		if _, seen := rules[rule]; !seen {
			rules[rule] = false
			order = append(order, rule)
		}
		if err := playTwice(name, o); err != nil {
			fmt.Printf("FAIL %v\n", err)
			failures[rule] = append(failures[rule], err.Error())
			continue
		}
		fmt.Printf("ok %s\n", name)
		rules[rule] = true
	}
	passed := 0
	for _, rule := range order {
		if rules[rule] {
			passed++
			continue
		}
		t.Errorf("%s", strings.Join(failures[rule], "\n"))
	}
	fmt.Printf("rules: %d passed, %d failed\n", passed, len(order)-passed)
}

// alternative is the end of the name of a file that is one of several.
var alternative = regexp.MustCompile(`@[0-9]+\.pkt$`)

// scriptFiles returns the names of all scripts below dir, in order.
func scriptFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(name) == ".pkt" {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// playTwice plays one script twice.
func playTwice(name string, o transcript.Options) error {
	s, err := pktdrill.ReadFile(name)
	if err != nil {
		return err
	}
	if err := transcript.Play(s, o); err != nil {
		return err
	}
	o.Wrap, o.Note = true, nil
	if err := transcript.Play(s, o); err != nil {
		return fmt.Errorf("%w (near the end of the sequence space)", err)
	}
	return nil
}
