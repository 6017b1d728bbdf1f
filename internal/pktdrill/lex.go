package pktdrill

import "strings"

// tokenKind is a kind of token.
type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokPunct
	tokWord
	tokInt
	tokHex
	tokFloat
	tokEllipsis
	tokString
	tokCommand
	tokCode
	tokOption
	tokAddr
)

// token is one word of a script.
type token struct {
	kind tokenKind
	text string // without quotes
	line int
	// glued says that nothing stands between the token and the one before.
	glued bool
}

// lexer cuts a script into tokens.
type lexer struct {
	src    string
	at     int
	line   int
	tokens []token
	err    string
}

// lex returns the tokens of src, the last of which is tokEnd.
func lex(src string) ([]token, string, int) {
	l := &lexer{src: src, line: 1}
	for l.err == "" && l.next() {
	}
	l.tokens = append(l.tokens, token{kind: tokEnd, line: l.line})
	return l.tokens, l.err, l.line
}

// next takes one token, and says whether there was one, or an error.
func (l *lexer) next() bool {
	from := l.at
	l.skipBlank()
	if l.at >= len(l.src) || l.err != "" {
		return false
	}
	t := token{line: l.line, glued: from == l.at && l.at > 0}
	rest := l.src[l.at:]
	switch {
	case strings.HasPrefix(rest, "..."):
		t.kind, t.text = tokEllipsis, "..."
		l.at += 3
	case strings.HasPrefix(rest, "%{"):
		t.kind, t.text = tokCode, l.until("%{", "}%")
	case rest[0] == '"':
		t.kind, t.text = tokString, l.quoted('"')
	case rest[0] == '`':
		t.kind, t.text = tokCommand, l.quoted('`')
	case strings.HasPrefix(rest, "--") && len(rest) > 2 && isWord(rest[2]):
		n := 2 + wordLen(rest[2:])
		t.kind, t.text = tokOption, rest[2:n]
		l.at += n
	default:
		t.kind, t.text = number(rest)
		if t.text == "" {
			t.kind, t.text = tokPunct, rest[:1]
			if n := wordLen(rest); n > 0 {
				t.kind, t.text = tokWord, rest[:n]
			}
		}
		l.at += len(t.text)
	}
	l.tokens = append(l.tokens, t)
	return true
}

// skipBlank steps over blanks and comments.
func (l *lexer) skipBlank() {
	for l.at < len(l.src) && l.err == "" {
		rest := l.src[l.at:]
		switch {
		case rest[0] == '\n':
			l.line++
			l.at++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			l.at++
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.at += n
		case strings.HasPrefix(rest, "/*"):
			l.until("/*", "*/")
		default:
			return
		}
	}
}

// until takes what lies between two marks.
func (l *lexer) until(open, end string) string {
	body := l.src[l.at+len(open):]
	n := strings.Index(body, end)
	if n < 0 {
		l.err = "nothing closes " + open
		return ""
	}
	l.at += len(open) + n + len(end)
	l.line += strings.Count(body[:n], "\n")
	return body[:n]
}

// quoted takes what lies between two quotes; a backslash keeps the octet after it.
func (l *lexer) quoted(q byte) string {
	var b strings.Builder
	for i := l.at + 1; i < len(l.src); i++ {
		c := l.src[i]
		switch {
		case c == q:
			l.line += strings.Count(l.src[l.at:i], "\n")
			l.at = i + 1
			return b.String()
		case c == '\\' && i+1 < len(l.src):
			i++
			b.WriteByte(l.src[i])
		default:
			b.WriteByte(c)
		}
	}
	l.err = "nothing closes a quote"
	return ""
}

// number takes a number off the start of s; "" if there is none. The longest form wins, so
// that 4x is a word.
func number(s string) (tokenKind, string) {
	n := 0
	if s[0] == '-' && len(s) > 1 && (isDigit(s[1]) || s[1] == '.') {
		n = 1
	}
	whole := digits(s[n:])
	n += whole
	frac := 0
	if n < len(s) && s[n] == '.' {
		frac = digits(s[n+1:])
	}
	switch {
	case whole > 0 && frac > 0 && strings.HasPrefix(s[n+1+frac:], "."):
		if a := addr(s); a > 0 {
			return tokAddr, s[:a]
		}
		return tokFloat, s[:n+1+frac]
	case frac > 0:
		return tokFloat, s[:n+1+frac]
	case whole == 0:
		return tokPunct, ""
	}
	w := wordLen(s)
	if hex := strings.HasPrefix(s, "0x") && w > 2; hex && isHex(s[2:w]) {
		return tokHex, s[:w]
	}
	if w > n {
		return tokWord, s[:w]
	}
	return tokInt, s[:n]
}

// addr is the length of an IPv4 address at the start of s, or 0.
func addr(s string) int {
	n := 0
	for part := range 4 {
		if part > 0 {
			if n >= len(s) || s[n] != '.' {
				return 0
			}
			n++
		}
		d := digits(s[n:])
		if d == 0 {
			return 0
		}
		n += d
	}
	return n
}

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func wordLen(s string) int {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
