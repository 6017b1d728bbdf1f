package pktdrill

import "math"

// call is a system call. c has the time at which it returns, or is nil.
func (p *parser) call(c *Call) *Call {
	if c == nil {
		c = new(Call)
	}
	c.Name = p.take().text
	p.want("(")
	if !p.is(")") {
		c.Args = p.list()
	}
	p.want(")")
	p.want("=")
	c.Result = p.expr()
	if t := p.peek(); t.kind == tokWord {
		c.Errno = p.take().text
	}
	if p.is("(") {
		p.note()
	}
	return c
}

// note steps over what explains an errno, in parentheses.
func (p *parser) note() {
	for !p.skip(")") {
		if p.peek().kind == tokEnd {
			p.fail("nothing closes a parenthesis")
			return
		}
		p.take()
	}
}

// list is expressions, separated by commas.
func (p *parser) list() []Expr {
	var list []Expr
	for {
		list = append(list, p.expr())
		if len(list) > 1000 {
			p.fail("more than 1000 items")
		}
		if !p.skip(",") {
			return list
		}
	}
}

// depthMax bounds how deep expressions nest: what recurses is bounded.
const depthMax = 32

// expr is an argument.
func (p *parser) expr() Expr {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > depthMax {
		p.fail("nested deeper than %d", depthMax)
		return Expr{}
	}
	t := p.peek()
	switch {
	case t.kind == tokEllipsis:
		p.take()
		return Expr{Kind: Ellipsis}
	case t.kind == tokInt, t.kind == tokHex:
		e := Expr{Kind: Int, Int: p.integer(math.MinInt64, math.MaxInt64)}
		p.skipOred(&e)
		return e
	case t.kind == tokString:
		e := Expr{Kind: String}
		for p.peek().kind == tokString {
			e.Text += p.take().text
		}
		if p.peek().kind == tokEllipsis {
			p.take()
		}
		return e
	case p.is("["), p.is("{"):
		return p.brackets()
	case t.kind == tokWord:
		return p.word()
	}
	p.fail("got %q, want an argument", t.text)
	return Expr{}
}

// skipOred reads what is joined to a number by |.
func (p *parser) skipOred(e *Expr) {
	for p.skip("|") {
		next := p.expr()
		e.Int |= next.Int
		if next.Kind == Word {
			e.Kind = Word
			e.Words = append(e.Words, next.Words...)
		}
	}
}

// brackets is a list in square brackets or braces. Items may have a field's name, and a
// length in parentheses behind it.
func (p *parser) brackets() Expr {
	end := "]"
	if p.take().text == "{" {
		end = "}"
	}
	e := Expr{Kind: List}
	for !p.is(end) {
		item := p.expr()
		if p.skip("=") {
			name := item.Text
			if item.Kind == Word && len(item.Words) == 1 {
				name = item.Words[0]
			}
			item = p.expr()
			item.Field = name
		}
		e.Items = append(e.Items, item)
		if len(e.Items) > 1000 {
			p.fail("more than 1000 items")
		}
		if !p.skip(",") {
			break
		}
	}
	p.want(end)
	return e
}

// word is a symbol, several joined by |, or a name applied to arguments.
func (p *parser) word() Expr {
	name := p.take().text
	if p.is("(") {
		p.take()
		e := Expr{Kind: Apply, Text: name}
		if !p.is(")") {
			e.Items = p.list()
		}
		p.want(")")
		return e
	}
	e := Expr{Kind: Word, Words: []string{name}}
	for p.skip("|") {
		next := p.expr()
		e.Words = append(e.Words, next.Words...)
		e.Int |= next.Int
	}
	return e
}
