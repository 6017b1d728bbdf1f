package study

import (
	"time"

	"github.com/millrace-tcp/millrace/sim"
)

// criterion is a situation, what is measured in it, and what is wanted.
type criterion struct {
	section, name, situation, measure string

	link  string
	time  time.Duration
	flows func(cc string) []sim.FlowSpec // one without end if nil
	cross []sim.CrossSpec
	value func(r *sim.Result) float64

	most     bool    // the limit is the most; else the least
	limit    float64 // an absolute one
	relative bool    // or a share of what the reference does
	floor    float64 // below which the most is never
}

func (c *criterion) spec(cc string) (sim.Spec, error) {
	link, err := sim.ParseLink(c.link)
	s := sim.Spec{Link: link, CC: []string{cc}, Time: c.time, Cross: c.cross}
	if c.flows != nil {
		s.FlowSpecs = c.flows(cc)
	}
	return s, err
}

// Values that are measured.
func utilization(r *sim.Result) float64 { return r.Link.Utilization }
func queueP95(r *sim.Result) float64    { return r.Link.QueueMillis.P95 }
func loss(r *sim.Result) float64        { return 100 * r.Link.Loss }
func fairness(r *sim.Result) float64    { return r.Jain }
func goodput(r *sim.Result) float64     { return r.Goodput() / 1e6 }
func shortFlows(r *sim.Result) float64  { return r.Cross.CompletionMS.P50 }

// perRTT is how many packets a round trip of 100 ms the link was offered.
func perRTT(r *sim.Result) float64 { return float64(r.Link.Packets) / r.TimeS * 0.1 }

// completion is how many seconds the flow took; all of the time if it did not end.
func completion(r *sim.Result) float64 {
	if s := r.Flows[0].CompletionS; s != nil {
		return *s
	}
	return r.TimeS
}

// others is the share that the last two of four flows have of what would be fair.
func others(r *sim.Result) float64 {
	return 2 * (r.Flows[2].GoodputBPS + r.Flows[3].GoodputBPS) / r.Goodput()
}

// beside is two flows of an algorithm, and two of another that are open before.
func beside(other string) func(cc string) []sim.FlowSpec {
	return func(cc string) []sim.FlowSpec {
		late := 5 * time.Second
		return []sim.FlowSpec{{CC: cc, Start: late}, {CC: cc, Start: late + time.Second}, {CC: other}, {CC: other}}
	}
}

// several is flows that open one after the other.
func several(n int, apart time.Duration) func(cc string) []sim.FlowSpec {
	return func(cc string) []sim.FlowSpec {
		flows := make([]sim.FlowSpec, n)
		for i := range flows {
			flows[i] = sim.FlowSpec{CC: cc, Start: time.Duration(i) * apart}
		}
		return flows
	}
}

func one100kB(cc string) []sim.FlowSpec { return []sim.FlowSpec{{CC: cc, Octets: 100_000}} }

const minute = time.Minute

// criteria is the sections of the RFC that simulation has an answer to.
var criteria = []criterion{
	{
		section: "5.1.1", name: "protection against congestion collapse", time: minute,
		situation: "half of all packets are lost", measure: "packets a round trip",
		link: "rate=20mbit,rtt=100ms,queue=1bdp,loss=0.5", value: perRTT, most: true, limit: 4,
	},
	{
		section: "5.1.2", name: "protection against bufferbloat", time: minute,
		situation: "a queue of 8 BDP", measure: "p95 of queueing, ms",
		link: "rate=20mbit,rtt=50ms,queue=8bdp", value: queueP95, most: true, limit: 1.05, relative: true, floor: 50,
	},
	{
		section: "5.1.3", name: "protection against high packet loss", time: minute,
		situation: "8 flows, a queue of half a BDP", measure: "packets lost, %",
		link: "rate=20mbit,rtt=50ms,queue=0.5bdp", flows: several(8, 500*time.Millisecond), value: loss,
		most: true, limit: 2, relative: true, floor: 2,
	},
	{
		section: "5.1.4", name: "fairness within the algorithm", time: 2 * minute,
		situation: "4 flows, opened 2 s apart", measure: "Jain's index",
		link: "rate=20mbit,rtt=50ms,queue=1bdp", flows: several(4, 2*time.Second), value: fairness, limit: 0.9,
	},
	{
		section: "5.1.5", name: "short flows", time: 20 * time.Second,
		situation: "100 kB on an idle path", measure: "time to the end, s",
		link: "rate=20mbit,rtt=50ms,queue=1bdp", flows: one100kB, value: completion, most: true, limit: 1.25, relative: true,
	},
	{
		section: "5.2.1", name: "beside Reno", time: 2 * minute,
		situation: "2 flows beside 2 of Reno", measure: "Reno's part of its fair share",
		link: "rate=20mbit,rtt=50ms,queue=1bdp", flows: beside("reno"), value: others, limit: 0.5,
	},
	{
		section: "5.2.1", name: "beside Reno, deep queue", time: 2 * minute,
		situation: "the same, a queue of 4 BDP", measure: "Reno's part of its fair share",
		link: "rate=20mbit,rtt=50ms,queue=4bdp", flows: beside("reno"), value: others, limit: 0.5,
	},
	{
		section: "5.2.2", name: "beside real-time traffic", time: minute,
		situation: "1 Mbit/s at a constant rate beside", measure: "p95 of queueing, ms",
		link: "rate=10mbit,rtt=50ms,queue=2bdp", cross: []sim.CrossSpec{{Rate: 1e6, Packet: 200}}, value: queueP95,
		most: true, limit: 1.05, relative: true, floor: 50,
	},
	{
		section: "5.2.3", name: "short flows beside long ones", time: minute,
		situation: "short Reno flows, a fifth of the link", measure: "their median time, ms",
		link: "rate=20mbit,rtt=50ms,queue=1bdp", value: shortFlows, most: true, limit: 1.25, relative: true,
		cross: []sim.CrossSpec{{Kind: sim.CrossFlows, Rate: 4e6, Size: 30_000, CC: "reno"}},
	},
	{
		section: "6.1", name: "tail drop, small queue", time: minute,
		situation: "a queue of a quarter BDP", measure: "utilization",
		link: "rate=20mbit,rtt=50ms,queue=0.25bdp", value: utilization, limit: 0.95, relative: true,
	},
	{
		section: "6.3", name: "wired paths", time: 30 * time.Second,
		situation: "100 Mbit/s, 20 ms, a queue of 1 BDP", measure: "utilization",
		link: "rate=100mbit,rtt=20ms,queue=1bdp", value: utilization, limit: 0.9,
	},
	{
		section: "6.4", name: "wireless paths", time: minute,
		situation: "bursts of loss, ACKs in bunches, jitter", measure: "goodput, Mbit/s",
		link: "rate=20mbit,rtt=50ms,queue=2bdp,burst=0.002:0.5,ackagg=8ms,jitter=4ms", value: goodput, limit: 0.9, relative: true,
	},
	{
		section: "7.1", name: "active queue management", time: minute,
		situation: "CoDel that marks", measure: "utilization",
		link: "rate=20mbit,rtt=50ms,queue=8bdp,aqm=codel,ecn=aqm", value: utilization, limit: 0.95, relative: true,
	},
	{
		section: "7.1", name: "active queue management", time: minute,
		situation: "CoDel that drops", measure: "p95 of queueing, ms",
		link: "rate=20mbit,rtt=50ms,queue=8bdp,aqm=codel", value: queueP95, most: true, limit: 1.25, relative: true, floor: 15,
	},
	{
		section: "7.3", name: "paths with varying delay", time: minute,
		situation: "30 and 90 ms, by turns of 5 s", measure: "utilization",
		link: "rate=20mbit,rtt=30ms,queue=150kb,change=5s:rtt:90ms,change=10s:rtt:30ms,change=15s:rtt:90ms,change=20s:rtt:30ms," +
			"change=25s:rtt:90ms,change=30s:rtt:30ms,change=35s:rtt:90ms,change=40s:rtt:30ms,change=45s:rtt:90ms,change=50s:rtt:30ms",
		value: utilization, limit: 0.9, relative: true,
	},
	{
		section: "7.5", name: "paths with high delay", time: 2 * minute,
		situation: "a geostationary satellite: 600 ms", measure: "utilization",
		link: "rate=20mbit,rtt=600ms,queue=1bdp", value: utilization, limit: 0.9, relative: true,
	},
	{
		section: "7.7", name: "extreme packet reordering", time: minute,
		situation: "5 % of packets come up to 25 ms late", measure: "goodput, Mbit/s",
		link: "rate=20mbit,rtt=50ms,queue=1bdp,reorder=0.05", value: goodput, limit: 0.9, relative: true,
	},
	{
		section: "7.8", name: "transient events", time: minute,
		situation: "the link is down for 2 s", measure: "goodput, Mbit/s",
		link: "rate=20mbit,rtt=50ms,queue=1bdp,down=20s:2s", value: goodput, limit: 0.9, relative: true,
	},
	{
		section: "7.9", name: "sudden changes in the path", time: minute,
		situation: "20, 2 and again 20 Mbit/s", measure: "utilization",
		link: "rate=20mbit,rtt=50ms,queue=1bdp,change=20s:rate:2mbit,change=40s:rate:20mbit", value: utilization, limit: 0.9, relative: true,
	},
	{
		section: "7.11", name: "data centers", time: 2 * time.Second,
		situation: "1 Gbit/s, 200 us, marks from 20 packets on", measure: "utilization",
		link: "rate=1gbit,rtt=200us,queue=150pkt,ecn=step:20pkt", flows: several(4, 10*time.Millisecond), value: utilization, limit: 0.9,
	},
}
