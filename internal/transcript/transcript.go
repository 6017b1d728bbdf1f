// Package transcript plays scripts in packetdrill's notation against the engine, in virtual
// time: the script is the application, by the calls of package socket, and the peer, by
// the packets it injects and expects. Nothing waits for a clock, and the same script gives
// the same packets.
package transcript

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// Options say how to play. The zero value is what packetdrill does.
type Options struct {
	// Wrap starts both sequence spaces so near to their end that the first data crosses it.
	Wrap bool
	// Echo compares the echoed timestamp of what is sent, which packetdrill does not.
	Echo bool
	// Note is told what was left out, such as an assertion that is not understood; nil is
	// nobody.
	Note func(text string)
}

// Error says which line of a script was not kept to.
type Error struct {
	File string
	Line int
	What string // what was expected, what came
}

// Error begins with FILE:LINE.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What) }

// Play plays a script. What it returns is an *Error, or nil.
func Play(s *pktdrill.Script, o Options) error {
	shift := seq.Num(0)
	if o.Wrap {
		// The engine's sequence numbers run with its clock. How far the clock must be moved
		// is known when the first connection has been seen.
		first := newPlayer(s, Options{}, 0)
		if first.run() != nil {
			return Play(s, Options{Echo: o.Echo, Note: o.Note})
		}
		if first.sawISS {
			shift = wrapISS - first.iss
		}
	}
	p := newPlayer(s, o, shift)
	if err := p.run(); err != nil {
		return err
	}
	return nil
}

// What sequence numbers begin with: an ordinary value, and one at the end of the space.
const (
	wrapISS  = seq.Num(0xfffffff0)
	wrapIRS  = seq.Num(0xfffffe00)
	plainIRS = seq.Num(1_000_000)
)

// The addresses and ports of packetdrill.
const (
	bindPort    = 8080
	connectPort = 8080
	peerPort    = 40_000 // of the first peer that connects; one more for each after it
)

// settleMax bounds the steps at one moment: a script's windows hold a thousand segments.
const settleMax = 100_000

// player plays one script once.
type player struct {
	script *pktdrill.Script
	o      Options
	hints  hints
	start  mono.Time
	now    mono.Time
	base   seq.Num // added to the peer's sequence numbers

	tolerance time.Duration
	percent   float64

	eng           *engine.Engine
	port          *port
	local, remote netip.Addr

	fds   map[int]*file
	wait  *blocked
	under *flow
	peers int

	last    *pktdrill.Event
	lastAt  time.Duration // when last was to happen
	current *pktdrill.Event

	sawISS bool
	iss    seq.Num
}

// clockZero is the engine's time when a script begins: late enough that nothing is before 0.
const clockZero = mono.Time(1 << 50)

// clockStep is the time in which the engine's initial sequence number moves by one.
const clockStep = 4 * time.Microsecond

func newPlayer(s *pktdrill.Script, o Options, shift seq.Num) *player {
	p := &player{
		script: s, o: o, hints: readHints(s), base: plainIRS,
		start: clockZero.Add(time.Duration(shift) * clockStep), fds: make(map[int]*file),
		tolerance: 4 * time.Millisecond, percent: 12.5,
		local: netip.MustParseAddr("192.168.0.1"), remote: netip.MustParseAddr("192.0.2.1"),
	}
	if o.Wrap {
		p.base = wrapIRS
	}
	if v, ok := s.Option("ip_version"); ok && v == "ipv6" {
		p.local, p.remote = netip.MustParseAddr("fd3d:fa7b:d17d::1"), netip.MustParseAddr("2001:db8::1")
	}
	if v, ok := s.Option("tolerance_usecs"); ok {
		if n, err := strconv.Atoi(v); err == nil {
			p.tolerance = time.Duration(n) * time.Microsecond
		}
	}
	if v, ok := s.Option("tolerance_percent"); ok {
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			p.percent = f
		}
	}
	p.now = p.start
	p.port = &port{now: func() mono.Time { return p.now }}
	p.eng = engine.New(p.hints.engine(), p.port, &engine.StaticRouter{Hop: engine.Hop{
		LocalMAC: macLocal, RemoteMAC: macRemote, MTU: p.hints.mtu, Src: p.local,
	}})
	return p
}

// run plays all events.
func (p *player) run() error {
	for i := range p.script.Events {
		e := &p.script.Events[i]
		p.current = e
		if err := p.event(e); err != nil {
			return p.fail(e, err)
		}
	}
	if p.wait != nil {
		return p.awaitBlocked()
	}
	return nil
}

// fail says at which line err happened, unless it says so itself.
func (p *player) fail(e *pktdrill.Event, err error) error {
	if at, ok := err.(*Error); ok {
		return at
	}
	return &Error{File: p.script.File, Line: e.Line, What: err.Error()}
}

// event plays one event.
func (p *player) event(e *pktdrill.Event) error {
	at, end := p.when(e)
	var err error
	switch {
	case e.Packet != nil && e.Packet.Outbound:
		err = p.expect(e.Packet, e.When.Kind, at, end)
	default:
		if err = p.advance(p.start.Add(at)); err != nil {
			return err
		}
		if late := p.elapsed() - at; late > p.slack(at) {
			return fmt.Errorf("it is to happen at %v, and it is %v already", at, p.elapsed())
		}
		switch {
		case e.Packet != nil:
			err = p.inject(e.Packet)
		case e.Call != nil:
			err = p.call(e, at)
		case e.Code != "":
			err = p.check(e.Code)
		}
	}
	p.last, p.lastAt = e, at
	return err
}

// elapsed is the time since the script began.
func (p *player) elapsed() time.Duration { return p.now.Sub(p.start) }

// when is the time of an event since the script began. Relative times count from when the
// event before was over; those of two packets injected one after the other from the time
// of the first.
func (p *player) when(e *pktdrill.Event) (at, end time.Duration) {
	inbound := func(e *pktdrill.Event) bool { return e != nil && e.Packet != nil && !e.Packet.Outbound }
	from := p.elapsed()
	if inbound(p.last) && inbound(e) {
		from = p.lastAt
	}
	switch e.When.Kind {
	case pktdrill.Absolute, pktdrill.AbsoluteRange:
		from = 0
	case pktdrill.Relative, pktdrill.RelativeRange, pktdrill.AnyTime:
	}
	return from + e.When.Start, from + max(e.When.End, e.When.Start)
}

// slack is by how much an event may be off that is to happen at at.
func (p *player) slack(at time.Duration) time.Duration {
	since := time.Duration(0)
	if p.last != nil {
		since = at - p.lastAt
	}
	return max(p.tolerance, time.Duration(float64(since)*p.percent/100))
}

// settle steps the engine until it has nothing to do, and lets a blocked call go on.
func (p *player) settle() error {
	for range settleMax {
		if p.eng.Step(p.now) {
			continue
		}
		if p.wait == nil || p.wait.over {
			return nil
		}
		// It may have moved some of what it wants to: that is for the engine.
		if over := p.tryBlocked(); !p.eng.Step(p.now) && !over {
			return nil
		}
	}
	return fmt.Errorf("the engine does not come to rest at %v", p.elapsed())
}

// next is when something happens by itself.
func (p *player) next() mono.Time {
	at := p.eng.Deadline()
	if p.wait != nil && !p.wait.over {
		at = min(at, p.wait.until)
	}
	return max(at, p.now)
}

// advance lets time pass until at. A time that is over is now.
func (p *player) advance(at mono.Time) error {
	if err := p.settle(); err != nil {
		return err
	}
	for p.next() <= at && p.now < at {
		if err := p.advanceOnce(at); err != nil {
			return err
		}
	}
	p.now = max(p.now, at)
	return p.settle()
}

// advanceOnce lets time pass until the next thing happens, at most until at.
func (p *player) advanceOnce(at mono.Time) error {
	p.now = max(p.now, min(p.next(), at))
	return p.settle()
}

// note tells what was left out.
func (p *player) note(format string, args ...any) {
	if p.o.Note != nil {
		p.o.Note(fmt.Sprintf("%s:%d: ", p.script.File, p.current.Line) + fmt.Sprintf(format, args...))
	}
}
