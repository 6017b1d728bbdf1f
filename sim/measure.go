package sim

import (
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// measurement is a scenario of bulk flows, and what is measured of it.
type measurement struct {
	*scenario
	spec  Spec
	link  *path
	meter []meter
	short []string // the algorithms of the short flows
	made  int64    // octets read by all when the second half began
	pace  pace
	cross []*cross

	values [congestion.InspectMax]congestion.Value // room for those of a Sample
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
	there, back := spec.paths()
	// Room for a window of all that the pipe and its queue take, and as much again for what
	// is being repaired.
	buffer := min(bufferMin+2*(int(spec.bdpMax())+there.queueMax()), bufferMax)
	host := hostOptions{tcp: spec.TCP, recvBuffer: 2 * buffer, sendBuffer: buffer, noDelay: true}
	cfg := scenarioConfig{seed: spec.Seed, a: host, b: host, there: there, back: back}
	net := newNetwork(spec.Seed)
	rng := net.rand(streamStart)
	m := &measurement{spec: spec, meter: make([]meter, spec.Flows)}
	for i, f := range spec.FlowSpecs {
		if f.Start == 0 && i > 0 {
			f.Start = time.Duration(rng.Int64N(int64(max(spec.Link.RTT, time.Millisecond))))
		}
		m.meter[i] = meter{cc: f.CC}
		cfg.flows = append(cfg.flows, m.flowConfig(f))
	}
	for i := range spec.Cross {
		if c := &spec.Cross[i]; c.Kind == CrossFlows {
			for _, f := range c.short(net.rand(streamCross + uint64(i))) {
				cfg.flows = append(cfg.flows, m.flowConfig(f))
				m.short = append(m.short, f.CC)
			}
		}
	}
	cfg.back.FlowDelay = spec.flowDelays(len(cfg.flows))
	m.scenario = newScenario(cfg)
	m.link = m.paths[0]
	m.link.watch = spec.Queue
	m.watch = m
	for i, c := range spec.Cross {
		if c.Kind != CrossFlows {
			m.cross = append(m.cross, m.addCross(0, c, m.rand(streamCross+uint64(i))))
		}
	}
	for i := range spec.Flows {
		if spec.Recorder != nil {
			m.flows[i].recorder = spec.Recorder(i)
		}
	}
	m.pacing()
	return m
}

// flowConfig is a flow as scenarios know it.
func (m *measurement) flowConfig(f FlowSpec) flowConfig {
	t := m.spec.TCP
	t.Congestion, _ = m.spec.algorithm(f.CC) // complete has looked
	if t.ECN = f.ECN; t.ECN == tcp.ECNPassive && m.spec.Link.marks() {
		t.ECN = tcp.ECNAccurate
	}
	c := flowConfig{
		start:  f.Start,
		tcp:    &t,
		client: behaviour{write: unlimited, ending: endNever},
		server: behaviour{ending: endNever},
	}
	if f.Octets > 0 {
		c.client = behaviour{write: f.Octets}
		c.server = behaviour{ending: endAfterPeer}
	}
	return c
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
func (m *measurement) sent(h *host, frame []byte) {
	if m.spec.Packet != nil {
		m.spec.Packet(time.Duration(m.now), int(h.id), frame)
	}
	m.check.sent(h, frame)
}

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
	if flow >= m.spec.Flows {
		return // a short one
	}
	a := m.flows[flow].client
	if !a.opened || a.ended {
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
	queue, wait := m.link.backlog(now)
	for i, f := range m.flows[:m.spec.Flows] {
		s := Sample{Flow: i, At: time.Duration(now), Delivered: f.server.read, Queue: queue, QueueDelay: wait}
		if c := f.client.conn; c != nil && !f.client.ended {
			s.sender(c.TCP().Info(m.a.clock()))
			s.Values = c.TCP().Inspect(m.a.clock(), m.values[:0])
		}
		m.spec.Sample(s)
	}
	m.after(m.spec.SampleEvery, m.sample)
}

// sender fills in what a connection says of itself.
func (s *Sample) sender(info tcp.Info) {
	s.Cwnd, s.Ssthresh, s.InFlight = info.Cwnd, info.Ssthresh, info.Flight
	s.SRTT, s.RTTVar, s.MinRTT, s.RTO = info.RTT, info.RTTVar, info.MinRTT, info.RTO
	s.Pacing, s.DeliveryRate = info.PacingRate, info.DeliveryRate
	s.Retransmits, s.Lost = info.SegmentsRetransmitted, int64(info.Lost)
	for _, r := range []congestion.Recovery{congestion.RecoveryFast, congestion.RecoveryLoss} {
		if info.Recovery == r.String() {
			s.Recovery = r
		}
	}
	for _, l := range []congestion.Limit{congestion.LimitCwnd, congestion.LimitPacing, congestion.LimitReceiver} {
		if info.Limit == l.String() {
			s.Limit = l
		}
	}
}

// settle reads the last values before the network is closed.
func (m *measurement) settle() {
	for i, f := range m.flows[:m.spec.Flows] {
		t := &m.meter[i]
		end := m.now
		if f.client.ended {
			end = f.client.endedAt
		}
		t.windowIs(end, t.cwnd, m.spec.half())
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
