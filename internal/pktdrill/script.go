// Package pktdrill reads scripts in the notation of packetdrill: what an application calls,
// what its peer sends and what must be sent to the peer, each with its time. It knows
// nothing of a stack: who plays a script gives the lines their meaning.
package pktdrill

import (
	"fmt"
	"time"
)

// Script is one file.
type Script struct {
	File    string
	Options []Option // the lines of the head that begin with two dashes
	Init    string   // a command before the first event, or ""
	Events  []Event
}

// Option is a setting in the head of a script: --tolerance_usecs=30000.
type Option struct{ Name, Value string }

// Option returns the value of the last option of that name, and whether there is one.
func (s *Script) Option(name string) (value string, ok bool) {
	for _, o := range s.Options {
		if o.Name == name {
			value, ok = o.Value, true
		}
	}
	return value, ok
}

// Event is one line with a time. Exactly one of its last four fields is set.
type Event struct {
	Line    int
	When    When
	Packet  *Packet
	Call    *Call
	Command string // in back quotes
	Code    string // between %{ and }%
}

// When says at which time an event is to happen.
type When struct {
	Kind       WhenKind
	Start, End time.Duration // End is that of a range
}

// WhenKind is a form of time.
type WhenKind uint8

// The forms of time.
const (
	Absolute      WhenKind = iota // since the script began
	Relative                      // since the event before
	AbsoluteRange                 // 1~2
	RelativeRange                 // +1~+2
	AnyTime                       // *
)

// Call is a system call, and what it must return.
type Call struct {
	Name string
	Args []Expr
	// Blocks says that the call is written with the time at which it returns: End, which
	// counts from where the time of the event counts from.
	Blocks bool
	End    time.Duration
	Result Expr
	Errno  string // name of the errno that must be set, or ""
}

// ExprKind is a kind of argument.
type ExprKind uint8

// The kinds of arguments.
const (
	Ellipsis ExprKind = iota // whatever
	Int
	Word   // a symbol, or several joined by |
	String // in double quotes, which are gone
	List   // [a, b] or {a, b}
	Apply  // name(a, b)
)

// Expr is an argument of a system call, or its result.
type Expr struct {
	Kind  ExprKind
	Field string // what stands before the = within braces: {fd=4, ...}
	Int   int64
	Text  string   // of a String; the name of an Apply
	Words []string // of a Word
	Items []Expr   // of a List or an Apply
}

// Get returns the item of a list of that field, and whether there is one.
func (e *Expr) Get(field string) (Expr, bool) {
	for _, item := range e.Items {
		if item.Field == field {
			return item, true
		}
	}
	return Expr{}, false
}

// Packet is a line with a packet.
type Packet struct {
	Outbound         bool
	ECN              ECN
	SrcPort, DstPort int // 0: those of the connection
	ICMP             *ICMP
	Flags            Flags
	ACE              int // the counter in place of the flags AE, CWR and ECE; -1: none is given
	Seq, End         uint32
	Len              int
	Ack              uint32
	Win              int // -1: not given
	Urg              int
	AnyOptions       bool // <...>
	Options          []TCPOption
}

// ECN is a mark of the IP header in square brackets.
type ECN uint8

// The marks.
const (
	ECNUnsaid ECN = iota
	ECNNone
	ECNECT0
	ECNECT1
	ECNCE
	ECNECT01 // either of the two
)

// Flags are the control bits, as they lie in a TCP header.
type Flags uint16

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// TCPOption is one option between angle brackets. Name is the notation's: mss, nop, eol,
// sackOK, sack, TS, wscale, md5, FO, FOEXP, ECN. Values are its numbers; a sack has two for
// each block.
type TCPOption struct {
	Name   string
	Values []uint32
	Text   string // of an option that carries octets
}

// ICMP is an ICMP error, and what it quotes.
type ICMP struct {
	Type, Code string
	MTU        int // -1: not given
	Quotes     bool
	Seq        uint32
	Len        int
}

// SyntaxError is a mistake in a script.
type SyntaxError struct {
	File string
	Line int
	What string
}

// Error begins with FILE:LINE.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: pktdrill: parse script: %s", e.File, e.Line, e.What)
}
