package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// fairPath is a path of 12 Mbit/s, a packet of 1500 octets a millisecond, with FQ-CoDel.
func fairPath(cfg PathConfig) (n *network, l *path, left *[]int) {
	n = newNetwork(1)
	cfg.Rate, cfg.Fair, cfg.CoDel = 12e6, true, CoDel{Target: 5 * time.Millisecond}
	n.paths = []*path{newPath(cfg, n.rand(1))}
	l = n.paths[0]
	left = new([]int)
	l.watch = func(e QueueEvent) {
		if e.Kind == QueueOut {
			*left = append(*left, e.Octets)
		}
	}
	return n, l, left
}

// Flows take turns by octets: of two that always have something to send, the one with small
// packets sends as many octets as the other.
func TestFairTurns(t *testing.T) {
	n, l, left := fairPath(PathConfig{})
	for range 100 {
		n.serve(0, -1, 1500)
	}
	for range 400 {
		n.serve(0, -2, 300)
	}
	l.manager.(*fairQueue).queues[l.manager.(*fairQueue).hash(-1)].codel.cfg.Target = time.Hour
	l.manager.(*fairQueue).queues[l.manager.(*fairQueue).hash(-2)].codel.cfg.Target = time.Hour
	n.run(100 * ms)
	octets := map[int]int{}
	for _, size := range *left {
		octets[size] += size
	}
	if d := octets[1500] - octets[300]; d < -2*MTU || d > 2*MTU {
		t.Errorf("%d octets of one flow and %d of the other", octets[1500], octets[300])
	}
}

// A flow that begins goes before those that have had their turn.
func TestFairNewFirst(t *testing.T) {
	n, _, left := fairPath(PathConfig{})
	for range 20 {
		n.serve(0, -1, 1500)
	}
	n.after(2500*time.Microsecond, func(mono.Time) { n.serve(0, -2, 100) })
	n.run(4 * ms)
	// Two have left and the third is being sent when it comes: it is the fourth.
	if got := *left; len(got) < 4 || got[3] != 100 {
		t.Errorf("left: %v, want the packet of 100 octets in the fourth place", got)
	}
}

// When there is no room, half of the longest queue goes, at most a batch, and not what came.
func TestFairDropsFromTheLongest(t *testing.T) {
	n, l, _ := fairPath(PathConfig{QueuePackets: 50})
	q := l.manager.(*fairQueue)
	for range 51 { // one is being sent
		n.serve(0, -1, 1500)
	}
	n.serve(0, -2, 1500)
	if a, b := q.queues[q.hash(-1)].n, q.queues[q.hash(-2)].n; a != 25 || b != 1 || l.stats.QueueDrops != 25 {
		t.Errorf("%d and %d left and %d dropped, want 25, 1, 25", a, b, l.stats.QueueDrops)
	}
	if packets, octets := q.backlog(); packets != 26 || octets != 26*1500 {
		t.Errorf("backlog %d packets, %d octets", packets, octets)
	}
}

// Queues that ran empty are forgotten, and nothing is lost of what came.
func TestFairConserves(t *testing.T) {
	n, l, left := fairPath(PathConfig{})
	const packets = 3000
	for i := range packets {
		n.after(time.Duration(i)*1100*time.Microsecond, func(mono.Time) { n.serve(0, int32(-1-i%700), 200+i%1300) })
	}
	n.run(mono.Time(packets * 2 * time.Millisecond))
	q := l.manager.(*fairQueue)
	if len(*left)+int(l.stats.QueueDrops) != packets || q.n != 0 || q.octets != 0 || len(q.fresh)+len(q.old) != 0 {
		t.Errorf("%d left, %d dropped, of %d; %d packets and %d octets wait, lists of %d and %d",
			len(*left), l.stats.QueueDrops, packets, q.n, q.octets, len(q.fresh), len(q.old))
	}
}

// A flow that fills any queue leaves the delay of another alone, and the share of flows of
// different round trips is even.
func TestFairQueueShares(t *testing.T) {
	link := mustLink(t, "rate=20mbit,rtt=20ms,queue=8bdp,aqm=fq_codel")
	s := Spec{
		Link: link, Time: 30 * time.Second, Seed: 1,
		FlowSpecs: []FlowSpec{{CC: "reno"}, {CC: "reno", RTT: 160 * time.Millisecond}},
		Cross:     []CrossSpec{{Kind: CrossConstant, Rate: 15e6}},
	}
	r := mustRun(t, s)
	// The constant flow has a third, and what it sends above that is dropped.
	within(t, "share of the flow with the short round trip", r.Flows[0].GoodputBPS/20e6, 0.28, 0.45)
	within(t, "of the one with the long round trip", r.Flows[1].GoodputBPS/20e6, 0.18, 0.40)
	within(t, "its p95 of the round trip, ms", r.Flows[0].RTTMillis.P95, 20, 45)
	link.Fair, link.CoDel = false, nil
	s.Link = link
	r = mustRun(t, s)
	within(t, "p95 of the round trip without, ms", r.Flows[0].RTTMillis.P95, 100, 300)
}
