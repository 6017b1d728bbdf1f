// Package congestiontest is what every congestion control algorithm must pass. An algorithm's
// own test needs one line of it:
//
//	func TestConformance(t *testing.T) { congestiontest.Run(t, mycc.New) }
//
// Driver plays the stack for an algorithm, step by step, for tests of its numbers.
package congestiontest

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// What a Driver starts with: segments of 1000 octets, so that windows are easy to read.
const (
	MSS           = 1000
	InitialWindow = 10 * MSS
	RTT           = 100 * time.Millisecond
)

// Driver plays the stack for one algorithm: it hands over events as the stack would, and does
// to the window what the stack does. It belongs to one goroutine.
type Driver struct {
	Flow congestion.Flow
	Alg  congestion.Algorithm
	Now  mono.Time
	RTT  time.Duration // what each ACK measures; 0: nothing

	ack     congestion.Ack
	episode congestion.Congestion
	sent    congestion.Sent
	lost    congestion.Lost
	round   uint64
}

// NewDriver returns a driver of an established connection whose algorithm is initialised.
func NewDriver(alg congestion.Algorithm) *Driver {
	d := established(alg)
	alg.Init(&d.Flow, d.Now)
	return d
}

func established(alg congestion.Algorithm) *Driver {
	d := &Driver{Alg: alg, Now: mono.Time(time.Hour), RTT: RTT}
	d.Flow = congestion.Flow{MSS: MSS, IW: InitialWindow, Rand: 1, Established: d.Now}
	d.Flow.SetSsthresh(congestion.SsthreshMax)
	d.Flow.SetCwnd(InitialWindow)
	return d
}

// Cwnd returns the window.
func (d *Driver) Cwnd() int { return d.Flow.Cwnd() }

// SetWindow sets the window and ssthresh as a test wants them to begin with.
func (d *Driver) SetWindow(cwnd, ssthresh int) {
	d.Flow.SetCwnd(cwnd)
	d.Flow.SetSsthresh(ssthresh)
}

// Wait lets time pass in which nothing happens.
func (d *Driver) Wait(t time.Duration) { d.Now = d.Now.Add(t) }

// Ack hands over an ACK of new data that came in order while the window was in full use, and
// as much data leaves.
func (d *Driver) Ack(octets int) { d.AckWith(octets, nil) }

// AckWith is Ack with an ACK that edit, if not nil, has changed.
func (d *Driver) AckWith(octets int, edit func(a *congestion.Ack)) {
	f := &d.Flow
	flight := max(f.Cwnd(), octets)
	d.measure()
	a := &d.ack
	*a = congestion.Ack{
		Now: d.Now, Acked: octets, CumAcked: octets, RTT: d.RTT, PriorFlight: flight,
		Round: d.round, CwndLimited: true,
		Rate: congestion.RateSample{Delivered: flight, PriorDelivered: f.Delivered, TxInFlight: flight, Interval: d.RTT},
	}
	f.Delivered += uint64(octets)
	f.Flight = flight - octets
	if d.RTT > 0 {
		a.Rate.OctetsPerSec = int64(float64(flight) / d.RTT.Seconds())
	}
	if edit != nil {
		edit(a)
	}
	d.round = a.Round
	f.DeliveredCE += uint64(a.CEOctets)
	d.Alg.OnAck(f, a)
	d.Sent(octets, false)
}

// measure keeps the round trip as the stack does (RFC 6298).
func (d *Driver) measure() {
	f, r := &d.Flow, d.RTT
	if r <= 0 {
		return
	}
	if f.MinRTT == 0 {
		f.SRTT, f.RTTVar, f.MinRTT = r, r/2, r
	}
	f.RTTVar += (max(f.SRTT-r, r-f.SRTT) - f.RTTVar) / 4
	f.SRTT += (r - f.SRTT) / 8
	f.MinRTT, f.LatestRTT = min(f.MinRTT, r), r
}

// Round lets a round trip pass in which the window that there is when it begins is
// acknowledged, an ACK for each segment.
func (d *Driver) Round() { d.RoundWith(nil) }

// RoundWith is Round with ACKs that edit, if not nil, has changed.
func (d *Driver) RoundWith(edit func(a *congestion.Ack)) {
	segments := max(1, d.Flow.Cwnd()/d.Flow.MSS)
	began := d.Now
	for i := range segments {
		d.Now = began.Add(d.RTT * time.Duration(i+1) / time.Duration(segments))
		d.AckWith(d.Flow.MSS, func(a *congestion.Ack) {
			if i == 0 {
				a.Round++
				a.RoundStart = true
			}
			if edit != nil {
				edit(a)
			}
		})
	}
}

// Congest begins an episode with a full window in flight. What the stack does by itself after
// a time-out is done, too.
func (d *Driver) Congest(cause congestion.Cause) { d.CongestWith(cause, d.Flow.Cwnd()) }

// CongestWith begins an episode with flight octets outstanding.
func (d *Driver) CongestWith(cause congestion.Cause, flight int) {
	d.episode = congestion.Congestion{Now: d.Now, Cause: cause, Flight: flight}
	switch cause {
	case congestion.CauseLoss:
		d.episode.Lost, d.episode.Acked = d.Flow.MSS, d.Flow.MSS
		d.Lost(1, false)
	case congestion.CauseRTO:
		d.episode.Lost = flight
		d.Lost(min(flight/d.Flow.MSS, lostMax), true)
	case congestion.CauseECN, congestion.CauseIdle:
	}
	d.Alg.OnCongestion(&d.Flow, &d.episode)
	if cause == congestion.CauseRTO && !d.owner() {
		d.Flow.SetCwnd(d.Flow.MSS)
	}
}

// Undo takes an episode back before which the window and ssthresh were as given.
func (d *Driver) Undo(cwnd, ssthresh int) {
	if u, ok := d.Alg.(congestion.Undoer); ok {
		u.Undo(&d.Flow)
	}
	if !d.owner() {
		d.Flow.SetSsthresh(ssthresh)
		d.Flow.SetCwnd(max(d.Flow.Cwnd(), cwnd))
	}
}
