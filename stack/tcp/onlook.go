package tcp

import (
	"fmt"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// shadow is a second algorithm that hears what the first hears. What it sets is its own Flow's
// and holds nowhere: it is there to be looked at. Its window is what it would have set in the
// stead of the other, given what the other brought about; of the stack's own changes it sees
// the loss window after a time-out, and that of an undo.
type shadow struct {
	hooks
	alg  congestion.Algorithm
	flow congestion.Flow
	// Before the last episode.
	cwnd, ssthresh int
}

// SetShadow has a second algorithm look on from now; nil: none does.
func (c *Conn) SetShadow(now mono.Time, alg congestion.Algorithm) {
	if alg == nil {
		if c.plug != nil {
			c.plug.shadow = nil
		}
		return
	}
	s := &shadow{alg: alg, flow: c.flow}
	s.flow.SetPacing(0)
	s.flow.SetQuantum(0)
	s.cwnd, s.ssthresh = s.flow.Cwnd(), s.flow.Ssthresh()
	s.hooks, _ = hooksOf(alg)
	c.plugged().shadow = s
	c.shadowHears(now, congestion.EventOpen)
}

// SetRecorder has all that happens to the window recorded from now; nil: nothing.
func (c *Conn) SetRecorder(r congestion.Recorder) {
	if r != nil || c.plug != nil {
		c.plugged().recorder = r
	}
	if r != nil && c.plug.record == nil {
		c.plug.record = new(congestion.Record)
	}
}

// looked lets those who look on see an event.
func (c *Conn) looked(now mono.Time, e congestion.Event) {
	p := c.plug
	if p == nil {
		return
	}
	if p.shadow != nil {
		c.shadowHears(now, e)
	}
	if p.recorder != nil {
		c.recordEvent(now, e)
	}
}

// shadowHears tells the shadow. One that panics, or sets what is absurd, is gone.
func (c *Conn) shadowHears(now mono.Time, e congestion.Event) {
	s := c.plug.shadow
	defer c.guardShadow()
	s.flow.Measure(&c.flow)
	switch e {
	case congestion.EventOpen:
		s.alg.Init(&s.flow, now)
	case congestion.EventAck:
		s.alg.OnAck(&s.flow, &c.ack)
	case congestion.EventCongestion:
		s.cwnd, s.ssthresh = s.flow.Cwnd(), s.flow.Ssthresh()
		s.alg.OnCongestion(&s.flow, &c.rec.episode)
	case congestion.EventRecovered:
		if s.onOver != nil {
			s.onOver.OnRecovered(&s.flow, &c.rec.episode)
		}
	case congestion.EventUndo:
		s.undo()
	case congestion.EventSent:
		if s.onSent != nil {
			s.onSent.OnSent(&s.flow, &c.plug.sent)
		}
	case congestion.EventLost:
		if s.onLost != nil {
			s.onLost.OnLost(&s.flow, &c.plug.lost)
		}
	case congestion.EventLimit, congestion.EventSwitch, congestion.EventReplaced, congestion.EventClosed:
	}
}

func (s *shadow) undo() {
	if s.onUndo != nil {
		s.onUndo.Undo(&s.flow)
	}
	if !s.owner {
		s.flow.SetSsthresh(s.ssthresh)
		s.flow.SetCwnd(max(s.flow.Cwnd(), s.cwnd))
	}
}

// collapse is the loss window, see Conn.collapse.
func (s *shadow) collapse(pipe int) {
	if s.owner {
		s.flow.SetCwnd(min(s.flow.Cwnd(), s.flow.MSS+pipe))
		return
	}
	s.flow.SetCwnd(s.flow.MSS)
}

func (c *Conn) guardShadow() {
	p := c.plug
	why := "it set a value below zero"
	if v := recover(); v != nil {
		why = fmt.Sprintf("panic: %.200v", v)
	} else if !p.shadow.flow.Absurd() {
		return
	}
	c.p.Stats.TCPAlgorithmReplaced++
	c.events |= Replaced
	p.replaced = nameOf(p.shadow.alg) + ", a shadow: " + why
	p.shadow = nil
}

// recordEvent hands an event to the recorder.
func (c *Conn) recordEvent(now mono.Time, e congestion.Event) {
	p := c.plug
	r := p.record
	*r = congestion.Record{
		Now: now, Event: e, Flow: &c.flow, Window: c.cwnd(), RTO: c.rtt.timeout(),
		Recovery: c.rec.mode.public(), Limit: c.rec.limit, Algorithm: c.alg,
	}
	if c.state.Synchronized() {
		c.flow.Flight = c.pipe()
	}
	switch e {
	case congestion.EventAck:
		r.Ack = &c.ack
	case congestion.EventCongestion, congestion.EventRecovered:
		r.Congestion = &c.rec.episode
	case congestion.EventSent:
		r.Sent = &p.sent
	case congestion.EventLost:
		r.Lost = &p.lost
	case congestion.EventOpen, congestion.EventUndo, congestion.EventLimit, congestion.EventSwitch,
		congestion.EventReplaced, congestion.EventClosed:
	}
	if p.shadow != nil {
		r.Shadow = &p.shadow.flow
	}
	p.recorder.Record(r)
}

// endRecord makes the last record. No time is handed to what ends a connection: it is that of
// the last thing that happened.
func (c *Conn) endRecord() {
	if c.plug != nil && c.plug.recorder != nil {
		c.recordEvent(max(c.plug.record.Now, c.snd.sentAt, c.rcv.heardAt), congestion.EventClosed)
		c.plug.recorder = nil
	}
}

// public is the mode as it is recorded.
func (m recoveryMode) public() congestion.Recovery {
	switch m {
	case modeOpen:
		return congestion.RecoveryNone
	case modeFast:
		return congestion.RecoveryFast
	case modeLoss:
		return congestion.RecoveryLoss
	}
	return congestion.RecoveryNone
}

// limitedBy takes note of what holds data back.
func (c *Conn) limitedBy(now mono.Time, l congestion.Limit) {
	if c.rec.limit == l {
		return
	}
	c.rec.limit = l
	if c.plug != nil {
		c.looked(now, congestion.EventLimit)
	}
}

// ShadowInfo is what the shadow algorithm would have set.
type ShadowInfo struct {
	Congestion     string // its name; "": there is none
	Cwnd, Ssthresh int
	PacingRate     int64
}

// shadowInfo returns what Info shows of the shadow.
func (c *Conn) shadowInfo() (i ShadowInfo) {
	if c.plug == nil || c.plug.shadow == nil {
		return i
	}
	s := c.plug.shadow
	return ShadowInfo{nameOf(s.alg), s.flow.Cwnd(), s.flow.Ssthresh(), s.flow.Pacing()}
}
