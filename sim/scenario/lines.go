package scenario

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// reader reads one file and keeps the first mistake.
type reader struct {
	name  string
	lines map[string]int // of keys such as "link.rate" and "flow.2.cc"
	err   error
}

// fail says what is wrong with a key, and where that is. The first counts.
func (r *reader) fail(key, format string, args ...any) {
	if r.err != nil {
		return
	}
	at := r.name
	for k := key; ; {
		if line, ok := r.lines[k]; ok {
			at = fmt.Sprintf("%s:%d", r.name, line)
			break
		}
		i := strings.LastIndexByte(k, '.')
		if i < 0 {
			break
		}
		k = k[:i] // the table that lacks it
	}
	r.err = fmt.Errorf("%s: %s: %w", at, key, fmt.Errorf(format, args...))
}

// linesOf finds the line of each key and table of a text that has been decoded before.
func linesOf(text []byte) map[string]int {
	lines := make(map[string]int)
	count := make(map[string]int)
	var p unstable.Parser
	p.Reset(text)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		var key []string
		line := 0
		for it := e.Key(); it.Next(); {
			n := it.Node()
			key = append(key, string(n.Data))
			if line == 0 {
				line = p.Shape(n.Raw).Start.Line
			}
		}
		name := strings.Join(key, ".")
		switch e.Kind {
		case unstable.Table:
			prefix = name + "."
			lines[name] = line
		case unstable.ArrayTable:
			name = fmt.Sprintf("%s.%d", name, count[name])
			count[strings.Join(key, ".")]++
			prefix = name + "."
			lines[name] = line
		case unstable.KeyValue:
			lines[prefix+name] = line
		default:
			continue // a comment
		}
	}
	return lines
}

// dotted joins the parts of a key.
func dotted(key []string) string { return strings.Join(key, ".") }

// plain takes the library's name from a message.
func plain(message string) string { return strings.TrimPrefix(message, "toml: ") }

// known lists the keys of the tables.
var known = map[string]string{
	"":      "title, time, seed, seeds, [link], [[flow]] and [[cross]]",
	"flow":  "cc, count, start, rtt, size and ecn",
	"cross": "kind, rate, packet, start, stop, on, off, size, shape and cc",
}

// suggestions says what could stand in the place of a key.
func suggestions(key []string) string {
	table := ""
	if len(key) > 1 {
		table = key[0]
	}
	if k, ok := known[table]; ok {
		return "; there are " + k
	}
	return ""
}

// listOf returns the values of a list, or the one value.
func listOf(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

// textOf is a value as --link has it.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

func newBytes(text []byte) io.Reader { return bytes.NewReader(text) }
