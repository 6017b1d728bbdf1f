// Package ledbat is LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus), for transfers that nobody
// waits for: it adds at most a small delay to the queue of the bottleneck, and gives way to
// everything else. It goes by the round trip, and slows down now and then to see what the path
// is like without it.
package ledbat

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// TargetDefault is the delay that it adds at most (section 4.1 of the draft).
const TargetDefault = 60 * time.Millisecond

const (
	gainMax        = 16 // GAIN is at least a sixteenth
	windowMin      = 2  // segments, of the window in a slowdown and at first
	slowdownRTTs   = 2  // for which a slowdown holds the window, and after which the first one comes
	slowdownFactor = 9  // a slowdown takes at most a tenth of the time
	filterLen      = 4  // samples of which the lowest counts as the delay
	historyLen     = 10 // minutes over which the lowest counts as the delay of the path
)

// Config says how it is made. The zero value is what New returns.
type Config struct {
	// Target is the delay that it adds at most; TargetDefault if 0.
	Target time.Duration
}

// phase is what the window does.
type phase uint8

const (
	phaseFirst phase = iota // the first slow start
	phaseSteady
	phaseHold // held at windowMin
	phaseRamp // back to where it was, by slow start
)

// LEDBAT is the state of one connection. Conversions in its formulas keep compilers from fusing
// operations, so that the same run has the same result on every machine.
type LEDBAT struct {
	target   time.Duration
	recent   [filterLen]time.Duration // 0: no sample
	at       int
	history  [historyLen]time.Duration // lowest of each minute, the present one first
	minute   mono.Time                 // when it began
	phase    phase
	began    mono.Time // the slowdown
	next     mono.Time // when the window may grow again, or the next slowdown is due
	cwndLast int       // the window that this algorithm set last
	fraction float64   // of an octet, on top of it
}

// New returns LEDBAT++ with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.Target <= 0 {
		cfg.Target = TargetDefault
	}
	return &LEDBAT{target: cfg.Target}
}

// New returns LEDBAT++ with a target of TargetDefault.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "ledbat".
func (l *LEDBAT) Name() string { return "ledbat" }

// Init starts with a window of two segments.
func (l *LEDBAT) Init(f *congestion.Flow, now mono.Time) {
	*l = LEDBAT{target: l.target, minute: now}
	f.SetCwnd(min(f.Cwnd(), windowMin*f.MSS))
}

// Adopt takes over a connection, with the window that it has.
func (l *LEDBAT) Adopt(f *congestion.Flow, now mono.Time, _ congestion.State) {
	*l = LEDBAT{target: l.target, minute: now}
	l.history[0] = f.MinRTT
}

// String returns the phase as it is shown.
func (p phase) String() string {
	switch p {
	case phaseFirst:
		return "first slow start"
	case phaseSteady:
		return "steady"
	case phaseHold:
		return "slowed down"
	case phaseRamp:
		return "ramp"
	}
	return "unknown"
}

// Inspect shows the delays, in seconds, and the phase.
func (l *LEDBAT) Inspect(v []congestion.Value) []congestion.Value {
	base, queue := l.delay()
	return append(v,
		congestion.Value{Name: "base_delay_s", Number: base.Seconds()},
		congestion.Value{Name: "queue_delay_s", Number: queue.Seconds()},
		congestion.Value{Name: "phase", Text: l.phase.String()},
	)
}

// OnAck takes a sample of the delay and moves the window.
func (l *LEDBAT) OnAck(f *congestion.Flow, a *congestion.Ack) {
	if a.RTT > 0 {
		l.sample(a.Now, a.RTT)
	}
	if a.InRecovery {
		return
	}
	l.pace(f, a.Now)
	base, delay := l.delay()
	switch {
	case l.phase == phaseHold:
	case f.InSlowStart():
		// The first slow start ends at three quarters of the target (section 4.2). Those after a
		// slowdown do not: the queue may be another flow's, and this one would never get back.
		if l.phase == phaseFirst && delay > l.target/4*3 {
			f.SetSsthresh(max(f.Cwnd(), 2*f.MSS))
		} else if a.CwndLimited {
			l.setWindow(f, l.window(f)+float64(float64(a.CumAcked)*l.gain(base)))
		}
	default:
		l.avoid(f, a, base, delay)
	}
}

// sample takes a round trip.
func (l *LEDBAT) sample(now mono.Time, rtt time.Duration) {
	l.recent[l.at] = rtt
	l.at = (l.at + 1) % filterLen
	for range historyLen {
		if now.Sub(l.minute) < time.Minute {
			break
		}
		copy(l.history[1:], l.history[:])
		l.history[0] = 0
		l.minute = l.minute.Add(time.Minute)
	}
	if now.Sub(l.minute) >= time.Minute {
		l.minute = now
	}
	l.history[0] = lower(l.history[0], rtt)
}

// lower is the lower of two, of which 0 is none.
func lower(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// delay returns what the path takes without a queue, and what the queue adds.
func (l *LEDBAT) delay() (base, queue time.Duration) {
	var now time.Duration
	for _, r := range l.recent {
		now = lower(now, r)
	}
	for _, h := range l.history {
		base = lower(base, h)
	}
	return base, max(0, now-base)
}

// gain is "GAIN = 1 / min(16, CEIL(2 * TARGET / base))": the shorter the path, the slower the
// growth, so that competing with Reno over a small queue it stays behind.
func (l *LEDBAT) gain(base time.Duration) float64 {
	if base <= 0 {
		return 1.0 / gainMax
	}
	return 1 / float64(max(1, min(gainMax, (2*l.target+base-1)/base)))
}

// avoid is section 4.3: additive increase below the target, multiplicative decrease above, by
// how far above it is, at most by half in a round trip.
func (l *LEDBAT) avoid(f *congestion.Flow, a *congestion.Ack, base, delay time.Duration) {
	cwnd := l.window(f)
	add := l.gain(base) * float64(f.MSS)
	if delay > l.target {
		over := float64(delay-l.target) / float64(l.target)
		add = max(add-float64(cwnd*over), -cwnd/2)
	}
	if add > 0 && !a.CwndLimited {
		return
	}
	share := min(1, float64(a.CumAcked)/cwnd)
	l.setWindow(f, cwnd+float64(add*share))
	if f.InSlowStart() {
		f.SetSsthresh(max(f.Cwnd(), 2*f.MSS)) // or the window would grow back by slow start
	}
}

// pace begins and ends slowdowns (section 4.4).
func (l *LEDBAT) pace(f *congestion.Flow, now mono.Time) {
	switch l.phase {
	case phaseFirst:
		if !f.InSlowStart() {
			l.phase = phaseSteady
			l.next = now.Add(slowdownRTTs * f.SRTT)
		}
	case phaseSteady:
		if now >= l.next {
			l.phase, l.began = phaseHold, now
			l.next = now.Add(slowdownRTTs * f.SRTT)
			f.SetSsthresh(max(f.Cwnd(), 2*f.MSS))
			l.setWindow(f, 0)
		}
	case phaseHold:
		if now >= l.next {
			l.phase = phaseRamp
		}
	case phaseRamp:
		if !f.InSlowStart() {
			l.phase = phaseSteady
			l.next = now.Add(slowdownFactor * now.Sub(l.began))
		}
	}
}

// OnCongestion halves the window.
func (l *LEDBAT) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	if e.Cause == congestion.CauseIdle {
		f.SetCwnd(min(f.Cwnd(), f.IW))
		return
	}
	if l.phase == phaseHold {
		l.phase = phaseRamp
	}
	f.SetSsthresh(max(e.Flight/2, 2*f.MSS))
	l.setWindow(f, float64(min(f.Ssthresh(), f.Cwnd())))
}

// window is cwnd with its fraction, which is void if the stack has set cwnd meanwhile.
func (l *LEDBAT) window(f *congestion.Flow) float64 {
	cwnd := f.Cwnd()
	if cwnd != l.cwndLast {
		return float64(cwnd)
	}
	return float64(cwnd) + l.fraction
}

func (l *LEDBAT) setWindow(f *congestion.Flow, octets float64) {
	octets = min(max(octets, float64(windowMin*f.MSS)), congestion.CwndMax)
	l.cwndLast = int(octets)
	l.fraction = octets - float64(l.cwndLast)
	f.SetCwnd(l.cwndLast)
}
