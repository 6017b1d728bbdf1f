package pktdrill

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// eventsMax bounds a script: a thousand times what people write.
const eventsMax = 100_000

// ReadFile reads the script in a file.
func ReadFile(name string) (*Script, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("pktdrill: read script: %w", err)
	}
	return Parse(name, string(b))
}

// Parse reads a script. An error is a *SyntaxError.
func Parse(file, src string) (s *Script, err error) {
	tokens, bad, line := lex(src)
	if bad != "" {
		return nil, &SyntaxError{file, line, bad}
	}
	p := &parser{file: file, tokens: tokens}
	defer func() {
		if p.err != nil {
			s, err = nil, p.err
		}
	}()
	s = &Script{File: file}
	for p.peek().kind == tokOption {
		s.Options = append(s.Options, p.option())
	}
	if p.peek().kind == tokCommand {
		s.Init = p.take().text
	}
	for p.err == nil && p.peek().kind != tokEnd {
		if p.peek().kind == tokCommand && len(s.Events) > 0 {
			p.take() // what is cleaned up afterwards
			continue
		}
		s.Events = append(s.Events, p.event())
		if len(s.Events) > eventsMax {
			p.fail("more than %d events", eventsMax)
		}
	}
	if p.err == nil && len(s.Events) == 0 {
		p.fail("there is no event")
	}
	return s, nil
}

// parser reads tokens one after the other. After a mistake it goes on, to no effect, until
// somebody looks at err.
type parser struct {
	file   string
	tokens []token
	at     int
	depth  int
	err    *SyntaxError
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) after() token { return p.tokens[min(p.at+1, len(p.tokens)-1)] }

// take returns the next token. The last one, tokEnd, is never passed.
func (p *parser) take() token {
	t := p.tokens[p.at]
	if p.at < len(p.tokens)-1 {
		p.at++
	}
	return t
}

// fail remembers the first mistake, and ends the reading.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &SyntaxError{p.file, p.peek().line, fmt.Sprintf(format, args...)}
	}
	p.at = len(p.tokens) - 1
}

// is says whether the next token is that punctuation.
func (p *parser) is(text string) bool {
	t := p.peek()
	return t.kind == tokPunct && t.text == text
}

// isWord says whether the next token is that word.
func (p *parser) isWord(text string) bool {
	t := p.peek()
	return t.kind == tokWord && t.text == text
}

// skip takes the punctuation if it is there.
func (p *parser) skip(text string) bool {
	if !p.is(text) {
		return false
	}
	p.take()
	return true
}

// skipWord takes the word if it is there.
func (p *parser) skipWord(text string) bool {
	if !p.isWord(text) {
		return false
	}
	p.take()
	return true
}

func (p *parser) want(text string) {
	if !p.skip(text) {
		p.fail("got %q, want %q", p.peek().text, text)
	}
}

// integer takes a whole number in [low, high].
func (p *parser) integer(low, high int64) int64 {
	t := p.peek()
	n, err := int64(0), error(nil)
	switch t.kind {
	case tokInt:
		n, err = strconv.ParseInt(t.text, 10, 64)
	case tokHex:
		n, err = strconv.ParseInt(t.text[2:], 16, 64)
	default:
		p.fail("got %q, want a number", t.text)
		return low
	}
	if err != nil || n < low || n > high {
		p.fail("%s is not in [%d, %d]", t.text, low, high)
		return low
	}
	p.take()
	return n
}

// option is --name, or --name=value.
func (p *parser) option() Option {
	o := Option{Name: p.take().text}
	if !p.skip("=") {
		return o
	}
	line := p.peek().line
	var b strings.Builder
	for first := true; p.peek().kind != tokEnd && p.peek().line == line; first = false {
		if t := p.peek(); t.kind == tokOption || !first && !t.glued {
			break
		}
		b.WriteString(p.take().text)
	}
	o.Value = b.String()
	return o
}

// event is a time, and what happens then.
func (p *parser) event() Event {
	e := Event{Line: p.peek().line}
	e.When = p.when()
	var call *Call
	if p.peek().kind == tokEllipsis {
		p.take()
		call = &Call{Blocks: true, End: p.time()}
	}
	t := p.peek()
	switch {
	case call == nil && (p.is("<") || p.is(">")):
		e.Packet = p.packet()
	case t.kind == tokWord:
		e.Call = p.call(call)
	case call == nil && t.kind == tokCommand:
		e.Command = p.take().text
	case call == nil && t.kind == tokCode:
		e.Code = p.take().text
	default:
		p.fail("got %q, want a packet, a system call, a command or code", t.text)
	}
	if k := e.When.Kind; k != Absolute && k != Relative && (e.Packet == nil || !e.Packet.Outbound) {
		p.fail("only what is sent may have a range of time, or any")
	}
	return e
}

// when is the time of an event.
func (p *parser) when() When {
	if p.skip("*") {
		return When{Kind: AnyTime}
	}
	w := When{Kind: Absolute}
	if p.skip("+") {
		w.Kind = Relative
	}
	w.Start = p.time()
	if !p.skip("~") {
		return w
	}
	w.Kind = AbsoluteRange
	if p.skip("+") {
		w.Kind = RelativeRange
	}
	w.End = p.time()
	if w.End < w.Start {
		p.fail("the range of time runs backwards")
	}
	return w
}

// timeMax is the latest time of a script, in seconds: three years.
const timeMax = 1e8

// time is a number of seconds. It is read as a decimal, so that nothing is rounded.
func (p *parser) time() time.Duration {
	t := p.peek()
	if t.kind != tokInt && t.kind != tokFloat {
		p.fail("got %q, want a time", t.text)
		return 0
	}
	text := t.text
	if strings.HasPrefix(text, ".") {
		text = "0" + text
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 || seconds > timeMax {
		p.fail("the time %s is not in [0, %.0f]", t.text, timeMax)
		return 0
	}
	p.take()
	whole, frac, _ := strings.Cut(text, ".")
	n, _ := strconv.ParseInt(whole, 10, 64)
	if len(frac) > 9 {
		frac = frac[:9]
	}
	ns, _ := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
	return time.Duration(n)*time.Second + time.Duration(ns)
}
