package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// rateSampler measures the delivery rate: how fast the network took what was sent, taken at
// each ACK over the flight of the newest segment that it reports.
// draft-ietf-ccwg-bbr, section 4.1
type rateSampler struct {
	deliveredAt mono.Time
	firstAt     mono.Time
	roundEnd    uint64 // Delivered at the end of this packet-timed round
	round       uint64
}

// Scratch is what the handling of one ACK needs until it is done. The connections of a worker
// share one.
type Scratch struct {
	newest newest
	rest   [][]byte // of OutputPieces, while it runs
}

// newest is the segment sent last of those that the ACK at hand delivers.
type newest struct {
	have        bool
	limited     bool
	once        bool // it was sent once
	endSEQ      seq.Num
	inFlight    int
	sentAt      mono.Time
	sendElapsed time.Duration

	// When it was sent.
	prior    uint64
	priorAt  mono.Time
	lost, ce uint64
}

// onSend stamps a segment that is sent while flight octets are on their way.
func (r *rateSampler) onSend(s *sent, now mono.Time, f *congestion.Flow, flight int) {
	if flight == 0 {
		r.firstAt, r.deliveredAt = now, now
	}
	s.delivered, s.deliveredAt, s.firstAt = f.Delivered, r.deliveredAt, r.firstAt
	s.lost, s.ce = f.Lost, f.DeliveredCE
	s.inFlight = int32(flight + s.len())
	s.appLimited = f.AppLimited != 0
}

// onDelivered takes note that a segment was acknowledged or reported. The sample is of the one
// sent last (IsNewestPacket).
func (r *rateSampler) onDelivered(n *newest, s *sent, now mono.Time) {
	r.deliveredAt = now
	if n.have && !sentAfter(s.at, s.end, n.sentAt, n.endSEQ) {
		return
	}
	*n = newest{
		have: true, limited: s.appLimited, once: s.mark&markTwice == 0,
		endSEQ: s.end, inFlight: int(s.inFlight), sentAt: s.at, sendElapsed: s.at.Sub(s.firstAt),
		prior: s.delivered, priorAt: s.deliveredAt, lost: s.lost, ce: s.ce,
	}
	r.firstAt = s.at
}

// finish makes the sample of the ACK at hand.
func (r *rateSampler) finish(n *newest, a *congestion.Ack, f *congestion.Flow) {
	a.Rate = congestion.RateSample{}
	a.RoundStart = false
	if f.AppLimited != 0 && f.Delivered > f.AppLimited {
		f.AppLimited = 0
	}
	if !n.have {
		a.Round = r.round
		return
	}
	if n.prior >= r.roundEnd {
		r.roundEnd = f.Delivered
		r.round++
		a.RoundStart = true
	}
	a.Round = r.round
	s := &a.Rate
	s.PriorDelivered = n.prior
	s.Delivered = int(f.Delivered - n.prior)
	s.Lost, s.CE = int(f.Lost-n.lost), int(f.DeliveredCE-n.ce)
	s.TxInFlight = n.inFlight
	s.AppLimited = n.limited
	if a.RTT == 0 && n.once {
		a.RTT = r.deliveredAt.Sub(n.sentAt) // what was reported by SACK alone
		if f.MinRTT > 0 {
			f.MinRTT = max(1, min(f.MinRTT, a.RTT))
		}
	}
	s.Interval = max(n.sendElapsed, r.deliveredAt.Sub(n.priorAt))
	if s.Interval > 0 && (f.MinRTT == 0 || s.Interval >= f.MinRTT) {
		s.OctetsPerSec = int64(float64(s.Delivered) / s.Interval.Seconds())
	}
}
