package congestiontest

import (
	"fmt"
	"math"

	"github.com/millrace-tcp/millrace/congestion"
)

// lostMax is of how many segments of a flight an algorithm is told that they are lost.
const lostMax = 100

// Sent tells a SentObserver of octets that are sent; restart says that the connection was idle.
func (d *Driver) Sent(octets int, restart bool) {
	o, ok := d.Alg.(congestion.SentObserver)
	if !ok {
		return
	}
	f := &d.Flow
	d.sent = congestion.Sent{Now: d.Now, Octets: octets, PriorFlight: f.Flight, AppLimited: restart, Restart: restart}
	f.Flight += octets
	o.OnSent(f, &d.sent)
}

// Lost tells a LostObserver of segments that were given up, by the retransmission timer or by
// an ACK, a round trip after they were sent.
func (d *Driver) Lost(segments int, timeout bool) {
	o, ok := d.Alg.(congestion.LostObserver)
	f := &d.Flow
	before := f.Lost
	for range segments {
		f.Lost += uint64(f.MSS)
		if !ok {
			continue
		}
		d.lost = congestion.Lost{
			Now: d.Now, SentAt: d.Now.Add(-d.RTT), Octets: f.MSS, TxInFlight: f.Cwnd(), Lost: before,
			Delivered: f.Delivered - min(f.Delivered, uint64(f.Cwnd())), Timeout: timeout,
		}
		o.OnLost(f, &d.lost)
	}
}

// Recovered tells a RecoveryObserver that an episode has ended.
func (d *Driver) Recovered(cause congestion.Cause) {
	if o, ok := d.Alg.(congestion.RecoveryObserver); ok {
		d.episode = congestion.Congestion{Now: d.Now, Cause: cause, Flight: d.Flow.Flight}
		o.OnRecovered(&d.Flow, &d.episode)
	}
}

// owner says whether the algorithm's window holds in recovery.
func (d *Driver) owner() bool {
	o, ok := d.Alg.(congestion.RecoveryOwner)
	return ok && o.OwnsRecovery()
}

// adopted is a driver whose algorithm takes over a connection that was under way; nil if it
// cannot.
func adopted(alg congestion.Algorithm) *Driver {
	a, ok := alg.(congestion.Adopter)
	if !ok {
		return nil
	}
	d := established(alg)
	d.SetWindow(50*MSS, 40*MSS)
	d.measure()
	d.round, d.Flow.Delivered = 100, 1<<20
	a.Adopt(&d.Flow, d.Now, congestion.State{Name: "other", Pacing: 50 * MSS * 10, Rate: 50 * MSS * 10, Round: d.round})
	return d
}

// adopts plays what follows on a live connection being taken over.
func (r *report) adopts(alg New) {
	r.Helper()
	d := adopted(alg())
	if d == nil {
		r.note("adopts a live connection", "by Init")
		return
	}
	got := fmt.Sprintf("cwnd %d, before %d", d.Cwnd(), 50*MSS)
	p := playOn(d, 9)
	problem := p.run(eventsOfASeed, p.outOfBounds)
	r.verdict("adopts a live connection", got, problem)
}

// inspection looks at what an Inspector shows.
type inspection struct {
	values []congestion.Value
	names  []string
}

// look says what is wrong with the values shown; nothing if none are.
func (i *inspection) look(alg congestion.Algorithm) string {
	o, ok := alg.(congestion.Inspector)
	if !ok {
		return ""
	}
	i.values = o.Inspect(i.values[:0])
	if i.names == nil {
		for _, v := range i.values {
			i.names = append(i.names, v.Name)
		}
	}
	if len(i.values) > congestion.InspectMax || len(i.values) != len(i.names) {
		return fmt.Sprintf("%d values are shown, of %d names; at most %d are", len(i.values), len(i.names), congestion.InspectMax)
	}
	for k, v := range i.values {
		if v.Name != i.names[k] || v.Name == "" || math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
			return fmt.Sprintf("value %d is %q, %v; want a number for %q", k, v.Name, v.Number, i.names[k])
		}
	}
	return ""
}
