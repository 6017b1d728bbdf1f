package sim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// drawer draws scenarios from a seed.
type drawer struct{ *rand.Rand }

func (d drawer) chance(p float64) bool { return d.Float64() < p }

// upTo returns a duration from 0 to most.
func (d drawer) upTo(most time.Duration) time.Duration {
	return time.Duration(d.Int64N(int64(most) + 1))
}

// between returns a number from low to high, small ones as likely as large ones.
func (d drawer) between(low, high float64) float64 {
	return low * math.Pow(high/low, d.Float64())
}

// draw makes the scenario of a seed.
func draw(seed uint64) scenarioConfig {
	d := drawer{rand.New(rand.NewPCG(seed, 0))}
	cfg := scenarioConfig{seed: seed, v6: d.chance(0.3)}
	rtt := d.upTo(600 * time.Millisecond)
	if d.chance(0.1) {
		rtt = 0
	}
	hostile := d.chance(0.7)
	cfg.there = d.path(rtt, hostile)
	cfg.back = d.path(rtt, hostile)
	cfg.unlikely = hostile
	cfg.a, cfg.b = d.host(), d.host()
	flows := 1
	if d.chance(0.3) {
		flows = 2 + d.IntN(3)
	}
	if hostile || d.chance(0.2) {
		// Without it, who waits for a peer whose RST was lost waits for ever.
		cfg.a.keepIdle = time.Duration(d.between(float64(time.Second), float64(2*time.Hour)))
		cfg.b.keepIdle = time.Duration(d.between(float64(time.Second), float64(2*time.Hour)))
	}
	small := min(cfg.a.recvBuffer, cfg.b.recvBuffer, cfg.a.sendBuffer, cfg.b.sendBuffer)
	for range flows {
		cfg.flows = append(cfg.flows, d.flow(small, hostile))
	}
	drawer{rand.New(rand.NewPCG(seed, 1))}.more(&cfg, hostile)
	if d.chance(0.5) {
		nearWrap(&cfg, d)
	}
	return cfg
}

func (d drawer) path(rtt time.Duration, hostile bool) PathConfig {
	p := PathConfig{Delay: rtt / 2, Rate: int64(d.between(64e3, 1e9))}
	if d.chance(0.1) {
		p.Rate = 0
	}
	switch d.IntN(3) {
	case 0:
		p.QueueOctets = int(d.between(1500, 1e6))
	case 1:
		p.QueuePackets = int(d.between(1, 500))
	}
	if d.chance(0.5) {
		p.Jitter = d.upTo(rtt/4 + time.Millisecond)
	}
	if !hostile {
		return p
	}
	if d.chance(0.5) {
		p.Loss = d.between(0.001, 0.3)
	}
	if d.chance(0.2) {
		p.Burst = Burst{Enter: d.between(0.001, 0.05), Leave: d.between(0.05, 0.5)}
	}
	if d.chance(0.4) {
		p.Reorder = d.between(0.001, 0.2)
		p.ReorderBy = d.upTo(3*rtt + time.Millisecond)
	}
	if d.chance(0.3) {
		p.Duplicate = d.between(0.001, 0.1)
	}
	if d.chance(0.3) {
		p.Corrupt = d.between(0.001, 0.1)
	}
	if d.chance(0.2) {
		p.ACKLoss = d.between(0.01, 0.5)
	}
	if d.chance(0.2) {
		at := mono.Time(0)
		for range 1 + d.IntN(3) {
			from := at.Add(d.upTo(20 * time.Second))
			at = from.Add(d.upTo(30 * time.Second))
			p.Down = append(p.Down, Outage{from, at})
		}
	}
	return p
}

func (d drawer) host() hostOptions {
	h := hostOptions{
		recvBuffer: int(d.between(1<<10, 1<<20)),
		sendBuffer: int(d.between(1<<10, 1<<20)),
		noDelay:    d.chance(0.5),
		tcp: tcp.Config{
			NoTimestamps: d.chance(0.4), NoSACK: d.chance(0.4), NoWindowScale: d.chance(0.4),
		},
		origin: mono.Time(d.Int64N(int64(1000 * time.Hour))),
	}
	if d.chance(0.3) {
		h.mtu = 576 + d.IntN(1500-576+1)
	}
	if d.chance(0.2) {
		h.txFrames = 1 + d.IntN(32)
		h.txSlow = d.upTo(time.Millisecond)
	}
	if d.chance(0.2) {
		h.tcp.RTOMin = d.upTo(time.Second) + time.Millisecond
	}
	if d.chance(0.2) {
		h.tcp.DelayedACK = d.upTo(500*time.Millisecond) + 1
	}
	if d.chance(0.1) {
		h.tcp.AckEvery = 1 + d.IntN(8)
	}
	if d.chance(0.1) {
		h.known = mono.Time(d.upTo(3 * time.Second))
	}
	if d.chance(0.1) {
		h.shrinks = mono.Time(d.between(float64(time.Millisecond), float64(time.Minute)))
		h.mtuLess = 576 + d.IntN(max(1, h.mtu-576))
	}
	if d.chance(0.4) {
		h.tcp.Detector = tcp.Detector(d.IntN(int(tcp.DetectDupACK) + 1))
		h.tcp.Governor = tcp.Governor(d.IntN(int(tcp.GovernPipe) + 1))
		h.tcp.NoTLP, h.tcp.NoFRTO = d.chance(0.5), d.chance(0.5)
	}
	return h
}

// flow draws what two applications do. small is the smallest buffer.
func (d drawer) flow(small int, hostile bool) flowConfig {
	most := 1e6
	if small < 8<<10 || hostile {
		most = 256e3
	}
	f := flowConfig{start: d.upTo(2 * time.Second), client: d.behaviour(most), server: d.behaviour(most)}
	if d.chance(0.5) {
		f.start = 0
	}
	if f.client.ending == endAfterPeer && f.server.ending == endAfterPeer {
		f.client.ending = endInTurn // or each waits for the other
	}
	switch {
	case d.chance(0.2):
		f.again = 1 + d.IntN(3)
		f.client.pauseMax = time.Duration(d.between(float64(time.Millisecond), float64(2*time.Minute)))
	case d.chance(0.05):
		f.both = true
	}
	return f
}

func (d drawer) behaviour(most float64) behaviour {
	b := behaviour{write: d.Int64N(int64(most))}
	switch {
	case d.chance(0.2):
		b.write = 0
	case d.chance(0.3):
		b.write = int64(d.between(1, most))
	}
	switch {
	case d.chance(0.3):
		b.ending = endAfterPeer
	case d.chance(0.1):
		b.ending = endClose
	case d.chance(0.1):
		b.ending = endAbort
	}
	b.enough = d.Int64N(int64(most))
	b.latest = time.Duration(d.between(float64(time.Millisecond), float64(5*time.Minute)))
	if d.chance(0.5) {
		b.writeMax = 1 + d.IntN(20_000)
	}
	if d.chance(0.5) {
		b.readMax = 1 + d.IntN(20_000)
	}
	if d.chance(0.3) {
		b.pauses = d.between(0.001, 0.3)
		b.pauseMax = time.Duration(d.between(float64(time.Millisecond), float64(10*time.Second)))
	}
	if d.chance(0.1) {
		b.stall = d.upTo(5 * time.Minute)
	}
	if d.chance(0.05) {
		b.readClose = int64(d.between(1, most))
	}
	return b
}

// nearWrap sets the clocks of the hosts so that the initial sequence numbers of the first
// flow lie shortly before 2^32: they grow by one every 4 µs (RFC 6528).
func nearWrap(cfg *scenarioConfig, d drawer) {
	try := *cfg
	try.a.origin, try.b.origin = 0, 0
	try.there, try.back = PathConfig{}, PathConfig{}
	try.flows = []flowConfig{{start: cfg.flows[0].start}}
	s := newScenario(try)
	s.run(mono.Time(10 * time.Second))
	set := func(origin *mono.Time, iss seq.Num) {
		want := seq.Num(0).Add(-int(d.between(1, 200e3)))
		*origin = mono.Time(uint32(want-iss)) * 4000
	}
	set(&cfg.a.origin, s.check.wires[0].iss)
	set(&cfg.b.origin, s.check.wires[1].iss)
}
