package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// rateSampler measures the delivery rate: how fast the network took what was sent, taken at
// each ACK over the flight of the newest segment that it reports.
// draft-ietf-ccwg-bbr, section 4.1
type rateSampler struct {
	deliveredAt mono.Time
	firstAt     mono.Time
	limitedTill uint64 // Delivered at which the present lack of data is over; 0: no lack

	// The newest segment delivered by the ACK at hand.
	have        bool
	prior       uint64
	priorAt     mono.Time
	sendElapsed time.Duration
	inFlight    int
	limited     bool
	sentAt      mono.Time

	roundEnd uint64 // Delivered at the end of this packet-timed round
	round    uint64
}

// onSend stamps a segment that is sent while flight octets are on their way.
func (r *rateSampler) onSend(s *sent, now mono.Time, delivered uint64, flight int) {
	if flight == 0 {
		r.firstAt, r.deliveredAt = now, now
	}
	s.delivered, s.deliveredAt, s.firstAt = delivered, r.deliveredAt, r.firstAt
	s.inFlight = int32(flight + s.len())
	s.appLimited = r.limitedTill != 0
}

// onDelivered takes note that a segment was acknowledged or reported.
func (r *rateSampler) onDelivered(s *sent, now mono.Time) {
	r.deliveredAt = now
	if r.have && (s.delivered < r.prior || s.delivered == r.prior && s.at < r.sentAt) {
		return
	}
	r.have = true
	r.prior, r.priorAt = s.delivered, s.deliveredAt
	r.sendElapsed = s.at.Sub(s.firstAt)
	r.inFlight, r.limited, r.sentAt = int(s.inFlight), s.appLimited, s.at
	r.firstAt = s.at
}

// finish makes the sample of the ACK at hand.
func (r *rateSampler) finish(a *congestion.Ack, f *congestion.Flow) {
	a.Rate = congestion.RateSample{}
	a.RoundStart = false
	if r.limitedTill != 0 && f.Delivered > r.limitedTill {
		r.limitedTill = 0
	}
	if !r.have {
		a.Round = r.round
		return
	}
	r.have = false
	if r.prior >= r.roundEnd {
		r.roundEnd = f.Delivered
		r.round++
		a.RoundStart = true
	}
	a.Round = r.round
	s := &a.Rate
	s.PriorDelivered = r.prior
	s.Delivered = int(f.Delivered - r.prior)
	s.Lost = a.NewlyLost
	s.TxInFlight = r.inFlight
	s.AppLimited = r.limited
	s.Interval = max(r.sendElapsed, r.deliveredAt.Sub(r.priorAt))
	if s.Interval > 0 && (f.MinRTT == 0 || s.Interval >= f.MinRTT) {
		s.OctetsPerSec = int64(float64(s.Delivered) / s.Interval.Seconds())
	}
}
