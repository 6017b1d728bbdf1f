package pktdrill

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrUnsupported is returned for code that is more than comparisons of numbers.
var ErrUnsupported = errors.New("pktdrill: check assertions: not a comparison of numbers")

// Assertion is one assert of a piece of code: a small part of Python, with whole numbers,
// names, arithmetic, comparisons and logic.
type Assertion struct {
	Text string
	root node
}

// Assertions returns the assertions of a piece of code. Lines that are not assertions, and
// assertions that say more than this package understands, are returned in skipped.
func Assertions(code string) (list []Assertion, skipped []string) {
	code = strings.ReplaceAll(code, "\\\n", " ")
	for _, line := range strings.FieldsFunc(code, func(r rune) bool { return r == '\n' || r == ';' }) {
		line = strings.TrimSpace(line)
		if line == "" || line == "\\" || strings.HasPrefix(line, "#") {
			continue
		}
		text, ok := strings.CutPrefix(line, "assert")
		if !ok || text != "" && isWord(text[0]) {
			skipped = append(skipped, line)
			continue
		}
		root, err := parseCondition(text)
		if err != nil {
			skipped = append(skipped, line)
			continue
		}
		list = append(list, Assertion{strings.TrimSpace(text), root})
	}
	return list, skipped
}

// Holds evaluates the assertion; lookup gives the value of a name. A name without one makes
// it ErrUnsupported.
func (a *Assertion) Holds(lookup func(name string) (int64, bool)) (bool, error) {
	v, err := a.root.eval(lookup)
	return v != 0, err
}

// node is a part of an expression: a number, a name, or an operator over nodes.
type node struct {
	op   string // "" is a number, "name" a name
	num  int64
	name string
	args []node
}

func (n *node) eval(lookup func(string) (int64, bool)) (int64, error) {
	switch n.op {
	case "":
		return n.num, nil
	case "name":
		v, ok := lookup(n.name)
		if !ok {
			return 0, fmt.Errorf("%w: no value for %s", ErrUnsupported, n.name)
		}
		return v, nil
	}
	a, err := n.args[0].eval(lookup)
	if err != nil {
		return 0, err
	}
	switch {
	case n.op == "and" && a == 0, n.op == "or" && a != 0:
		return a, nil
	case n.op == "not":
		return truth(a == 0), nil
	case n.op == "neg":
		return -a, nil
	}
	b, err := n.args[1].eval(lookup)
	if err != nil {
		return 0, err
	}
	return apply(n.op, a, b)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// apply computes one operator of two numbers.
func apply(op string, a, b int64) (int64, error) {
	switch op {
	case "and", "or":
		return b, nil
	case "==":
		return truth(a == b), nil
	case "!=":
		return truth(a != b), nil
	case "<":
		return truth(a < b), nil
	case "<=":
		return truth(a <= b), nil
	case ">":
		return truth(a > b), nil
	case ">=":
		return truth(a >= b), nil
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "/", "%":
		if b == 0 {
			return 0, fmt.Errorf("%w: division by zero", ErrUnsupported)
		}
		if op == "%" {
			return a % b, nil
		}
		return a / b, nil
	case "&":
		return a & b, nil
	}
	return 0, fmt.Errorf("%w: operator %s", ErrUnsupported, op)
}

// condition parses one expression by precedence.
type condition struct {
	words []string
	depth int
	err   error
}

func parseCondition(text string) (node, error) {
	c := &condition{words: conditionWords(text)}
	n := c.binary(0)
	if c.err == nil && len(c.words) > 0 && c.words[0] != "," {
		c.err = ErrUnsupported
	}
	return n, c.err
}

// conditionWords cuts text into numbers, names and operators.
func conditionWords(text string) []string {
	var words []string
	for text = strings.TrimSpace(text); text != "" && text[0] != '#'; text = strings.TrimSpace(text) {
		n := max(1, wordLen(text))
		if len(text) > 1 && text[1] == '=' && strings.ContainsRune("=!<>", rune(text[0])) {
			n = 2
		}
		words = append(words, text[:n])
		text = text[n:]
		if words[len(words)-1] == "," {
			return words // what is said when it fails
		}
	}
	return words
}

// precedence is the operators, those that bind least first.
var precedence = [][]string{
	{"or"}, {"and"}, {"==", "!=", "<", "<=", ">", ">="}, {"&"}, {"+", "-"}, {"*", "/", "%"},
}

// comparison is the level of the comparisons.
const comparison = 2

func (c *condition) binary(level int) node {
	if c.depth++; c.depth > 200 {
		c.err = ErrUnsupported
	}
	defer func() { c.depth-- }()
	if level == len(precedence) || c.err != nil {
		return c.unary()
	}
	left, middle := c.binary(level+1), node{op: "none"}
	for c.err == nil && len(c.words) > 0 {
		op := c.words[0]
		known := false
		for _, o := range precedence[level] {
			known = known || o == op
		}
		if !known {
			return left
		}
		c.words = c.words[1:]
		right := c.binary(level + 1)
		next := node{op: op, args: []node{left, right}}
		if level == comparison && middle.op != "none" {
			// "Comparisons can be chained arbitrarily, e.g. x < y <= z is equivalent to
			// x < y and y <= z". https://docs.python.org/3/reference/expressions.html#comparisons
			next = node{op: "and", args: []node{left, {op: op, args: []node{middle, right}}}}
		}
		left, middle = next, right
	}
	return left
}

func (c *condition) unary() node {
	if len(c.words) == 0 || c.err != nil {
		c.err = ErrUnsupported
		return node{}
	}
	w := c.words[0]
	c.words = c.words[1:]
	switch {
	case w == "not":
		return node{op: "not", args: []node{c.binary(2)}}
	case w == "-":
		return node{op: "neg", args: []node{c.unary()}}
	case w == "(":
		n := c.binary(0)
		if len(c.words) == 0 || c.words[0] != ")" {
			c.err = ErrUnsupported
			return n
		}
		c.words = c.words[1:]
		return n
	case isDigit(w[0]):
		n, err := strconv.ParseInt(w, 0, 64)
		if err != nil {
			c.err = ErrUnsupported
		}
		return node{num: n}
	case wordLen(w) == len(w):
		return node{op: "name", name: w}
	}
	c.err = ErrUnsupported
	return node{}
}
