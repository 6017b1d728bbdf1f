package stack

import (
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// SetCongestionControl has the algorithm of a name take over, "bbr" or with options
// "cubic?hystart=off": one of Config.Algorithms. The connection keeps its window, and of the
// state of the algorithm before what the new one can use.
func (c *Conn) SetCongestionControl(name string) error {
	_, maker, err := c.s.cfg.Algorithms.Parse(name)
	if err != nil {
		return c.opError("set", fmt.Errorf("stack: choose congestion control: %w", err))
	}
	return c.SetCongestion(maker())
}

// SetCongestion is SetCongestionControl with an algorithm that is this connection's alone.
func (c *Conn) SetCongestion(alg congestion.Algorithm) error {
	return c.set(func(now mono.Time) { c.c.TCP().SetAlgorithm(now, alg) })
}

// SetCongestionOption sets an option of the algorithm while it runs, if it takes any.
func (c *Conn) SetCongestionOption(name, value string) error {
	var refused error
	if err := c.set(func(now mono.Time) { refused = c.c.TCP().Configure(now, name, value) }); err != nil {
		return err
	}
	if refused != nil {
		return c.opError("set", refused)
	}
	return nil
}

// CongestionState returns what the algorithm shows of its state; nil if it shows nothing.
func (c *Conn) CongestionState() (v []congestion.Value, err error) {
	if err := c.ask(func(now mono.Time) { v = c.c.TCP().Inspect(now, nil) }); err != nil {
		return nil, c.opError("get", err)
	}
	return v, nil
}

// SetShadow has a second algorithm, chosen by name, look on: it hears what the first hears and
// decides nothing, and Info shows what it would have set. An empty name ends that.
func (c *Conn) SetShadow(name string) error {
	var alg congestion.Algorithm
	if name != "" {
		_, maker, err := c.s.cfg.Algorithms.Parse(name)
		if err != nil {
			return c.opError("set", fmt.Errorf("stack: choose shadow: %w", err))
		}
		alg = maker()
	}
	return c.set(func(now mono.Time) { c.c.TCP().SetShadow(now, alg) })
}

// SetRecorder has what happens to the connection's window recorded from now on; nil ends it.
// The recorder is called on the worker and must not block.
func (c *Conn) SetRecorder(r congestion.Recorder) error {
	return c.set(func(mono.Time) { c.c.TCP().SetRecorder(r) })
}

// SetMaxPacing bounds the rate in octets of data a second at which the connection sends, as
// SO_MAX_PACING_RATE does; 0 leaves it to the congestion control.
func (c *Conn) SetMaxPacing(octetsPerSec int64) error {
	if octetsPerSec < 0 {
		return c.opError("set", fmt.Errorf("stack: bound pacing: %d octets a second is below zero", octetsPerSec))
	}
	return c.set(func(mono.Time) { c.c.TCP().SetPacingMax(octetsPerSec) })
}

// warnEvery bounds how often a replaced algorithm, or a handler's panic, is logged: each
// connection may have one.
const warnEvery = time.Second

// mayWarn says whether a worker may log now what peers may bring about at will.
func (s *Stack) mayWarn() bool {
	now, last := int64(clock()), s.warned.Load()
	return (last == 0 || now-last >= int64(warnEvery)) && s.warned.CompareAndSwap(last, now)
}

// warnReplaced logs that the guard has replaced the connection's algorithm. It is called on
// the worker, which a log may not hold up.
func (s *Stack) warnReplaced(c *engine.Conn) {
	if !s.mayWarn() {
		return
	}
	why, local, remote := c.TCP().Replaced(), c.LocalAddr().String(), c.RemoteAddr().String()
	s.running.Go(func() {
		s.cfg.Log.Warn("stack: replaced a congestion control by Reno", "was", why, "local", local, "remote", remote)
	})
}
