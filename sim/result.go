package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Result is what became of it. Its JSON is what "millrace sim --json" prints.
type Result struct {
	Seed   uint64       `json:"seed"`
	TimeS  float64      `json:"time_s"`
	WallS  float64      `json:"wall_s"` // for the caller to fill in: there is no clock here
	Flows  []FlowResult `json:"flows"`
	Link   LinkResult   `json:"link"`
	Cross  *CrossResult `json:"cross,omitempty"`
	Jain   float64      `json:"jain"` // fairness of the goodputs: 1 is even
	Digest string       `json:"digest"`
	// ConvergenceS is how long after the last flow opened their goodputs came within a Jain
	// index of 0.9 and stayed there; absent if they did not, or if there is one flow.
	ConvergenceS *float64 `json:"convergence_s,omitempty"`
}

// FlowResult is what became of one flow.
type FlowResult struct {
	CC          string  `json:"cc"`
	GoodputBPS  float64 `json:"goodput_bps"` // bits a second that were read, from its start to its end
	Octets      int64   `json:"bytes"`
	Retransmits uint64  `json:"retransmits"`
	Timeouts    uint64  `json:"timeouts"`
	RTTMillis   struct {
		Min float64 `json:"min"`
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"rtt_ms"` // as the sender measured it
	CwndPackets struct {
		Min float64 `json:"min"`
		Max float64 `json:"max"`
		Avg float64 `json:"avg"`
	} `json:"cwnd_pkts"` // in the second half
	StartS float64 `json:"start_s"`
	// CompletionS is how long it took, of a flow that has an end and reached it.
	CompletionS *float64 `json:"completion_s,omitempty"`
}

// LinkResult is what became of the bottleneck.
type LinkResult struct {
	// Utilization is the goodput of all flows over what the rate leaves for payload, in the
	// second half.
	Utilization float64 `json:"utilization"`
	Packets     uint64  `json:"packets"` // that the flows sent, those dropped included
	Drops       uint64  `json:"drops"`   // for whatever reason
	QueueDrops  uint64  `json:"queue_drops"`
	Policed     uint64  `json:"policed"`
	Marks       uint64  `json:"marks"`
	BackDrops   uint64  `json:"back_drops,omitempty"` // on the way back, by its queue
	Loss        float64 `json:"loss"`                 // share of the packets sent that were dropped
	QueueMillis struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"queue_ms"`
}

// CrossResult is what became of the cross traffic.
type CrossResult struct {
	Packets      uint64      `json:"packets"` // of no flow, sent
	Flows        int         `json:"flows"`   // short ones
	Completed    int         `json:"completed"`
	CompletionMS Completion  `json:"completion_ms"`
	Sizes        []SizeClass `json:"sizes,omitempty"` // the short flows by size
	Short        []ShortFlow `json:"-"`               // each of them, as they opened
}

func (m *measurement) result() *Result {
	r := &Result{Seed: m.spec.Seed, TimeS: m.spec.Time.Seconds(), Digest: fmt.Sprintf("%016x", m.digest)}
	var rates []float64
	made := -m.made
	for i, f := range m.flows {
		made += f.server.read
		if i < m.spec.Flows {
			fr := m.flowResult(i)
			rates = append(rates, fr.GoodputBPS)
			r.Flows = append(r.Flows, fr)
		}
	}
	r.Jain = round(jain(rates))
	r.ConvergenceS = m.pace.converged(m.lastStart(), m.spec.Time)
	r.Cross = m.crossResult()
	st := &m.link.stats
	r.Link.Drops = st.QueueDrops + st.Lost + st.Outage + st.Policed
	r.Link.Packets = st.Sent
	r.Link.QueueDrops, r.Link.Policed, r.Link.Marks = st.QueueDrops, st.Policed, st.Marked
	r.Link.BackDrops = m.paths[m.b.out].stats.QueueDrops
	if st.Sent > 0 {
		r.Link.Loss = round(min(1, float64(r.Link.Drops)/float64(st.Sent)))
	}
	r.Link.QueueMillis.P50 = millis(m.link.delay.quantile(0.50))
	r.Link.QueueMillis.P95 = millis(m.link.delay.quantile(0.95))
	seconds := (m.spec.Time - m.spec.Time/2).Seconds()
	r.Link.Utilization = round(float64(made) * 8 / seconds / m.payloadRate())
	return r
}

// payloadRate is what the link's rate leaves for payload in the second half, in bits a
// second: full segments with the options that they carry.
func (m *measurement) payloadRate() float64 {
	mss := MTU - 40
	if v := m.meter[0].mss; v > 0 {
		mss = v
	}
	return m.spec.Link.MeanRate(m.spec.Time/2, m.spec.Time) * float64(mss) / MTU
}

func (m *measurement) flowResult(i int) FlowResult {
	f, t := m.flows[i], &m.meter[i]
	fr := FlowResult{CC: t.cc, Octets: f.server.read, Retransmits: t.retransmits, Timeouts: t.timeouts}
	fr.StartS = round(f.start.Seconds())
	end := m.spec.Time
	if took, ok := f.completed(); ok {
		end = f.start + took
		s := round(took.Seconds())
		fr.CompletionS = &s
	}
	if d := (end - f.start).Seconds(); d > 0 {
		fr.GoodputBPS = round(float64(f.server.read) * 8 / d)
	}
	fr.RTTMillis.Min = millis(t.rtt.least)
	fr.RTTMillis.P50 = millis(t.rtt.quantile(0.50))
	fr.RTTMillis.P95 = millis(t.rtt.quantile(0.95))
	if t.mss > 0 {
		mss := float64(t.mss)
		fr.CwndPackets.Min, fr.CwndPackets.Max = round(float64(t.low)/mss), round(float64(t.high)/mss)
		half := (m.spec.Time - m.spec.Time/2).Seconds()
		fr.CwndPackets.Avg = round(t.area / half / mss)
	}
	return fr
}

// completed returns how long a flow took, if it has an end and all of it was read.
func (f *flow) completed() (took time.Duration, ok bool) {
	if f.cfg.client.write == unlimited || f.server.read < f.cfg.client.write {
		return 0, false
	}
	return time.Duration(f.server.readAt) - f.start, true
}

func (m *measurement) crossResult() *CrossResult {
	if len(m.spec.Cross) == 0 {
		return nil
	}
	r := &CrossResult{Flows: len(m.flows) - m.spec.Flows}
	for _, c := range m.cross {
		r.Packets += c.sent
	}
	var took []time.Duration
	for i, f := range m.flows[m.spec.Flows:] {
		short := ShortFlow{CC: m.short[i], Start: f.start, Octets: f.cfg.client.write}
		if short.Completion, short.Completed = f.completed(); short.Completed {
			r.Completed++
			took = append(took, short.Completion)
		}
		r.Short = append(r.Short, short)
	}
	slices.SortStableFunc(r.Short, func(a, b ShortFlow) int { return cmp.Compare(a.Start, b.Start) })
	r.CompletionMS, r.Sizes = completion(took), bySize(r.Short)
	return r
}

// jain is Jain's fairness index: 1 when all are equal, 1/n when one has everything.
func jain(x []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(x)) * squares)
}

func millis(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round keeps six digits behind the point: the rest is noise to who reads the result.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }
