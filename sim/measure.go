package sim

import (
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// measurement is a scenario of bulk flows, and what is measured of it.
type measurement struct {
	*scenario
	spec  Spec
	link  *path
	meter []meter
	made  int64 // octets read by all when the second half began
}

// meter measures one flow at its sender.
type meter struct {
	cc      string
	samples uint64 // of the round trip, counted so far
	rtt     delays

	mss            int
	cwnd           int       // the last seen
	since          mono.Time // since when
	low, high      int
	area           float64 // octets times seconds, in the second half
	retransmits    uint64
	timeouts       uint64
	hasLow, opened bool
}

// bufferMin is the least room for data on both sides.
const bufferMin = 256 << 10

// bufferMax keeps runs over long fat links in memory.
const bufferMax = 256 << 20

func newMeasurement(spec Spec) *measurement {
	there, back := spec.Link.paths()
	// Room for a window of all that the pipe and its queue take, and as much again for what
	// is being repaired.
	buffer := min(bufferMin+2*(int(spec.Link.bdp())+there.queueMax()), bufferMax)
	host := hostOptions{tcp: spec.TCP, recvBuffer: 2 * buffer, sendBuffer: buffer, noDelay: true}
	cfg := scenarioConfig{seed: spec.Seed, a: host, b: host, there: there, back: back}
	rng := newNetwork(spec.Seed).rand(streamStart)
	m := &measurement{spec: spec, meter: make([]meter, spec.Flows)}
	for i := range spec.Flows {
		name := spec.CC[i%len(spec.CC)]
		t := spec.TCP
		t.Congestion, _ = spec.algorithm(name) // complete has looked
		f := flowConfig{
			tcp:    &t,
			client: behaviour{write: unlimited, ending: endNever},
			server: behaviour{ending: endNever},
		}
		if i > 0 {
			f.start = time.Duration(rng.Int64N(int64(max(spec.Link.RTT, time.Millisecond))))
		}
		m.meter[i] = meter{cc: name}
		cfg.flows = append(cfg.flows, f)
	}
	m.scenario = newScenario(cfg)
	m.link = m.paths[0]
	m.watch = m
	return m
}

// progressSteps is how often Progress is called.
const progressSteps = 200

func (m *measurement) run() error {
	end := mono.Time(m.spec.Time)
	m.after(m.spec.Time/2, func(mono.Time) {
		for _, f := range m.flows {
			m.made += f.server.read
		}
	})
	if m.spec.Sample != nil && m.spec.SampleEvery > 0 {
		m.after(m.spec.SampleEvery, m.sample)
	}
	for i := mono.Time(1); i <= progressSteps && m.err == nil; i++ {
		m.network.run(end / progressSteps * i)
		if m.spec.Progress != nil && !m.spec.Progress(time.Duration(m.now)) {
			return ErrStopped
		}
	}
	m.network.run(end)
	if m.err != nil {
		return fmt.Errorf("%w\n%s", m.err, m.report())
	}
	m.settle()
	return m.close()
}

// sent is watcher's.
func (m *measurement) sent(h *host, frame []byte) { m.check.sent(h, frame) }

// stepped looks at the senders that sent something in the step.
func (m *measurement) stepped(h *host) {
	if h == m.a {
		for _, i := range m.check.touch {
			m.look(i / 2)
		}
	}
	m.check.stepped(h)
}

// look takes note of a flow's round trip and window.
func (m *measurement) look(flow int) {
	a := m.flows[flow].client
	if !a.opened {
		return
	}
	t := &m.meter[flow]
	v := a.conn.TCP().View()
	if v.RTTSamples != t.samples {
		t.samples = v.RTTSamples
		t.rtt.add(m.now, v.RTT)
	}
	if v.Cwnd != t.cwnd || !t.opened {
		t.mss = v.MSS
		t.windowIs(m.now, v.Cwnd, m.spec.half())
	}
}

// windowIs closes the time in which the window was what it was, as far as it lies in the
// second half.
func (t *meter) windowIs(now mono.Time, cwnd int, half mono.Time) {
	if t.opened && now > half {
		t.area += float64(t.cwnd) * now.Sub(max(t.since, half)).Seconds()
		if !t.hasLow {
			t.low, t.high, t.hasLow = t.cwnd, t.cwnd, true
		}
		t.low, t.high = min(t.low, t.cwnd), max(t.high, t.cwnd)
	}
	t.opened = true
	t.cwnd, t.since = cwnd, now
}

// sample calls Spec.Sample for each flow, and sees to the next time.
func (m *measurement) sample(now mono.Time) {
	for i, f := range m.flows {
		s := Sample{Flow: i, At: time.Duration(now), Delivered: f.server.read, Queue: m.link.octets}
		if c := f.client.conn; c != nil {
			info := c.TCP().Info(m.a.clock())
			s.Cwnd, s.Ssthresh, s.InFlight = info.Cwnd, info.Ssthresh, info.Flight
			s.SRTT, s.MinRTT, s.RTO = info.RTT, info.MinRTT, info.RTO
			s.Retransmits = info.SegmentsRetransmitted
		}
		m.spec.Sample(s)
	}
	m.after(m.spec.SampleEvery, m.sample)
}

// settle reads the last values before the network is closed.
func (m *measurement) settle() {
	for i, f := range m.flows {
		t := &m.meter[i]
		t.windowIs(m.now, t.cwnd, m.spec.half())
		if f.client.conn == nil {
			continue
		}
		var info tcp.Info
		if info = f.client.info; !f.client.ended {
			info = f.client.conn.TCP().Info(m.a.clock())
		}
		t.retransmits, t.timeouts = info.SegmentsRetransmitted, info.Timeouts
	}
}

func (m *measurement) result() *Result {
	r := &Result{Seed: m.spec.Seed, TimeS: m.spec.Time.Seconds(), Digest: fmt.Sprintf("%016x", m.digest)}
	var rates []float64
	made := -m.made
	for i, f := range m.flows {
		made += f.server.read
		fr := m.flowResult(i)
		rates = append(rates, fr.GoodputBPS)
		r.Flows = append(r.Flows, fr)
	}
	r.Jain = round(jain(rates))
	st := &m.link.stats
	r.Link.Drops = st.QueueDrops + st.Lost + st.Outage
	r.Link.QueueDrops, r.Link.Marks = st.QueueDrops, st.Marked
	r.Link.QueueMillis.P50 = millis(m.link.delay.quantile(0.50))
	r.Link.QueueMillis.P95 = millis(m.link.delay.quantile(0.95))
	seconds := (m.spec.Time - m.spec.Time/2).Seconds()
	r.Link.Utilization = round(float64(made) * 8 / seconds / m.payloadRate())
	return r
}

// payloadRate is what the link's rate leaves for payload, in bits a second: full segments
// with the options that they carry.
func (m *measurement) payloadRate() float64 {
	mss := MTU - 40
	if v := m.meter[0].mss; v > 0 {
		mss = v
	}
	return m.spec.Link.rate() * float64(mss) / MTU
}

func (m *measurement) flowResult(i int) FlowResult {
	f, t := m.flows[i], &m.meter[i]
	fr := FlowResult{CC: t.cc, Octets: f.server.read, Retransmits: t.retransmits, Timeouts: t.timeouts}
	fr.StartS = round(f.start.Seconds())
	if d := (m.spec.Time - f.start).Seconds(); d > 0 {
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
