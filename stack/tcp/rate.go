package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
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

// onSend stamps a segment that is sent while flight octets are on their way: it sets all that is
// for the delivery rate.
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
func (r *rateSampler) onDelivered(k *Scratch, s *sent, now mono.Time) {
	r.deliveredAt = now
	if n := k.newest; n == nil || sentAfter(s.at, s.end, n.at, n.end) {
		k.newest = s
		r.firstAt = s.at
	}
}

// finish makes the sample of the ACK at hand.
func (r *rateSampler) finish(k *Scratch, a *congestion.Ack, f *congestion.Flow) {
	n := k.newest
	k.newest = nil
	a.Rate = congestion.RateSample{}
	a.RoundStart = false
	if f.AppLimited != 0 && f.Delivered > f.AppLimited {
		f.AppLimited = 0
	}
	if n == nil {
		a.Round = r.round
		return
	}
	if n.delivered >= r.roundEnd {
		r.roundEnd = f.Delivered
		r.round++
		a.RoundStart = true
	}
	a.Round = r.round
	s := &a.Rate
	s.PriorDelivered = n.delivered
	s.Delivered = int(f.Delivered - n.delivered)
	s.Lost, s.CE = int(f.Lost-n.lost), int(f.DeliveredCE-n.ce)
	s.TxInFlight = int(n.inFlight)
	s.AppLimited = n.appLimited
	if a.RTT == 0 && n.mark&markTwice == 0 {
		a.RTT = r.deliveredAt.Sub(n.at) // what was reported by SACK alone
		if f.MinRTT > 0 {
			f.MinRTT = max(1, min(f.MinRTT, a.RTT))
		}
	}
	s.Interval = max(n.at.Sub(n.firstAt), r.deliveredAt.Sub(n.deliveredAt))
	if s.Interval > 0 && (f.MinRTT == 0 || s.Interval >= f.MinRTT) {
		s.OctetsPerSec = int64(float64(s.Delivered) / s.Interval.Seconds())
	}
}
