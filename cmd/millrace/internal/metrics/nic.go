package metrics

import (
	"reflect"
	"strconv"
	"strings"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// NIC is an open interface with the counters that millrace.NIC has.
type NIC interface {
	Counters() loader.Counters
	PortStats() []dataplane.Stats
	Stats() []engine.Stats
	BufferOctets() int64
}

// NewNIC returns a collector of an interface's counters. Queues are numbered from 0.
func NewNIC(nic NIC) prometheus.Collector {
	c := &collector{
		nic: nic,
		xdp: prometheus.NewDesc("millrace_xdp_packets_total",
			"Packets by the way they left the XDP program.", []string{"reason"}, nil),
		portDrops: prometheus.NewDesc("millrace_port_drops_total",
			"Frames lost between the stack and the driver.", []string{"queue", "reason"}, nil),
		drops: prometheus.NewDesc("millrace_drops_total",
			"Received frames that reached no connection.", []string{"queue", "reason"}, nil),
		tcp: prometheus.NewDesc("millrace_tcp_events_total",
			"Events of TCP, under the names that nstat has for the kernel's.", []string{"queue", "event"}, nil),
		buffers: prometheus.NewDesc("millrace_buffer_octets",
			"Memory that the connections' buffers hold.", nil, nil),
	}
	for _, p := range portCounters {
		c.ports = append(c.ports, prometheus.NewDesc(p.name, p.help, []string{"queue"}, nil))
	}
	for _, e := range engineCounters {
		c.engines = append(c.engines, prometheus.NewDesc(e.name, e.help, []string{"queue"}, nil))
	}
	for _, g := range engineGauges {
		c.gauges = append(c.gauges, prometheus.NewDesc(g.name, g.help, []string{"queue"}, nil))
	}
	return c
}

// collector reads the counters when it is asked.
type collector struct {
	nic                                 NIC
	xdp, portDrops, drops, tcp, buffers *prometheus.Desc
	ports, engines, gauges              []*prometheus.Desc // as the tables below
}

// portCounters are those of a socket that are no drops.
var portCounters = []struct {
	name, help string
	value      func(s *dataplane.Stats) uint64
}{
	{"millrace_port_receive_frames_total", "Frames that the socket received.", func(s *dataplane.Stats) uint64 { return s.RXFrames }},
	{"millrace_port_receive_octets_total", "Octets that the socket received.", func(s *dataplane.Stats) uint64 { return s.RXOctets }},
	{"millrace_port_transmit_frames_total", "Frames that the socket took for transmission.", func(s *dataplane.Stats) uint64 { return s.TXFrames }},
	{"millrace_port_transmit_octets_total", "Octets that the socket took for transmission.", func(s *dataplane.Stats) uint64 { return s.TXOctets }},
	{"millrace_port_kicks_total", "System calls to start a transmission.", func(s *dataplane.Stats) uint64 { return s.Kicks }},
	{"millrace_port_kick_retries_total", "Kicks that the kernel told to try again.", func(s *dataplane.Stats) uint64 { return s.KickRetries }},
	{"millrace_port_waits_total", "Times that the worker slept.", func(s *dataplane.Stats) uint64 { return s.Waits }},
}

// portDrops are the reasons for which a socket drops.
var portDrops = []struct {
	reason string
	value  func(s *dataplane.Stats) uint64
}{
	{"receive_full", func(s *dataplane.Stats) uint64 { return s.RXDropped }},
	{"receive_invalid", func(s *dataplane.Stats) uint64 { return s.RXInvalid }},
	{"transmit_refused", func(s *dataplane.Stats) uint64 { return s.TXDropped }},
}

// engineCounters are those of an engine besides its drops and those of TCP.
var engineCounters = []struct {
	name, help string
	value      func(s *engine.Stats) uint64
}{
	{"millrace_receive_frames_total", "Frames that the stack received.", func(s *engine.Stats) uint64 { return s.RXFrames }},
	{"millrace_transmit_frames_total", "Frames that the stack sent.", func(s *engine.Stats) uint64 { return s.TXFrames }},
	{"millrace_partial_checksums_total", "Partial checksums accepted on a local link.", func(s *engine.Stats) uint64 { return s.PartialChecksums }},
	{"millrace_resets_sent_total", "RSTs sent to segments of no connection.", func(s *engine.Stats) uint64 { return s.ResetsSent }},
	{"millrace_time_wait_answers_total", "Segments answered in TIME-WAIT.", func(s *engine.Stats) uint64 { return s.TimeWaitAnswers }},
	{"millrace_time_wait_reused_total", "TIME-WAITs ended by a newer SYN (RFC 6191).", func(s *engine.Stats) uint64 { return s.TimeWaitReused }},
	{"millrace_time_wait_evicted_total", "TIME-WAITs ended early, for the table was full.", func(s *engine.Stats) uint64 { return s.TimeWaitEvicted }},
	{"millrace_forwarded_total", "Frames handed to the queue that owns their flow.", func(s *engine.Stats) uint64 { return s.Forwarded }},
	{"millrace_forwarded_in_total", "Frames that another queue handed over.", func(s *engine.Stats) uint64 { return s.ForwardedIn }},
	{"millrace_moved_total", "Connections that went to the queue which the answer to their SYN came by.", func(s *engine.Stats) uint64 { return s.Moved }},
	{"millrace_frames_exhausted_total", "Times output waited for a transmit frame.", func(s *engine.Stats) uint64 { return s.FramesExhausted }},
	{"millrace_frames_kept_total", "Received frames that lay where they were, payload and all, until it was read.", func(s *engine.Stats) uint64 { return s.FramesKept }},
	{"millrace_frames_kept_short_total", "Received frames copied at once, for as many as may be were kept.", func(s *engine.Stats) uint64 { return s.FramesKeptShort }},
	{"millrace_frames_spilled_total", "Received frames that were kept, and copied later to make room.", func(s *engine.Stats) uint64 { return s.FramesSpilled }},
	{"millrace_receive_crowded_total", "Times half of the room for received frames was taken, and windows were halved.", func(s *engine.Stats) uint64 { return s.ReceiveCrowded }},
	{"millrace_routes_held_total", "Times output waited for a neighbour's address.", func(s *engine.Stats) uint64 { return s.RoutesHeld }},
	{"millrace_path_mtu_evicted_total", "Path MTUs forgotten early because too many were known.", func(s *engine.Stats) uint64 { return s.PathMTUEvicted }},
	{"millrace_icmp_path_mtu_total", "Believed ICMP messages about the path's MTU.", func(s *engine.Stats) uint64 { return s.ICMPPathMTU }},
	{"millrace_icmp_unreachable_total", "Believed ICMP messages that the peer cannot be reached.", func(s *engine.Stats) uint64 { return s.ICMPUnreachable }},
}

// engineEvents are those that happen before there is a connection, and that nstat has too.
var engineEvents = []struct {
	name  string
	value func(s *engine.Stats) uint64
}{
	{"ListenOverflows", func(s *engine.Stats) uint64 { return s.ListenOverflows }},
	{"ListenDrops", func(s *engine.Stats) uint64 { return s.ListenDrops }},
	{"TCPReqQFullDoCookies", func(s *engine.Stats) uint64 { return s.TCPReqQFullDoCookies }},
	{"TCPReqQFullDrop", func(s *engine.Stats) uint64 { return s.TCPReqQFullDrop }},
	{"TCPReqTimeouts", func(s *engine.Stats) uint64 { return s.TCPReqTimeouts }},
	{"SyncookiesSent", func(s *engine.Stats) uint64 { return s.SyncookiesSent }},
	{"SyncookiesRecv", func(s *engine.Stats) uint64 { return s.SyncookiesRecv }},
	{"SyncookiesFailed", func(s *engine.Stats) uint64 { return s.SyncookiesFailed }},
	{"TCPAbortOnMemory", func(s *engine.Stats) uint64 { return s.TCPAbortOnMemory }},
	{"TCPMemoryPressures", func(s *engine.Stats) uint64 { return s.TCPMemoryPressures }},
}

// engineGauges are what an engine holds at this moment.
var engineGauges = []struct {
	name, help string
	value      func(s *engine.Stats) int
}{
	{"millrace_connections", "Connections, half-open ones included, and TIME-WAITs not.", func(s *engine.Stats) int { return s.Conns }},
	{"millrace_half_open", "Connections whose handshake is not done.", func(s *engine.Stats) int { return s.HalfOpen }},
	{"millrace_time_waits", "Connections in TIME-WAIT.", func(s *engine.Stats) int { return s.TimeWaits }},
	{"millrace_orphans", "Connections closed by the application that have not ended.", func(s *engine.Stats) int { return s.Orphans }},
	{"millrace_frames_kept", "Received frames whose payload lies in them still.", func(s *engine.Stats) int { return s.FramesKeptNow }},
	{"millrace_listeners", "Listeners.", func(s *engine.Stats) int { return s.Listeners }},
}

// Describe is prometheus.Collector's.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.xdp, c.portDrops, c.drops, c.tcp, c.buffers} {
		to <- d
	}
	for _, list := range [][]*prometheus.Desc{c.ports, c.engines, c.gauges} {
		for _, d := range list {
			to <- d
		}
	}
}

// Collect is prometheus.Collector's.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for reason, n := range c.nic.Counters().All() {
		count(c.xdp, n, reason)
	}
	for i, s := range c.nic.PortStats() {
		queue := strconv.Itoa(i)
		for j, p := range portCounters {
			count(c.ports[j], p.value(&s), queue)
		}
		for _, p := range portDrops {
			count(c.portDrops, p.value(&s), queue, p.reason)
		}
	}
	for i, s := range c.nic.Stats() {
		queue := strconv.Itoa(i)
		for j, e := range engineCounters {
			count(c.engines[j], e.value(&s), queue)
		}
		for j, g := range engineGauges {
			to <- prometheus.MustNewConstMetric(c.gauges[j], prometheus.GaugeValue, float64(g.value(&s)), queue)
		}
		each(s.Drop, func(name string, n uint64) { count(c.drops, n, queue, snake(name)) })
		each(s.TCP, func(name string, n uint64) { count(c.tcp, n, queue, name) })
		for _, e := range engineEvents {
			count(c.tcp, e.value(&s), queue, e.name)
		}
	}
	to <- prometheus.MustNewConstMetric(c.buffers, prometheus.GaugeValue, float64(c.nic.BufferOctets()))
}

// each calls f for the uint64 fields of a struct, so that a counter that is added to the
// stack is exported without a word here.
func each(counters any, f func(name string, n uint64)) {
	v := reflect.ValueOf(counters)
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Uint64 {
			f(v.Type().Field(i).Name, field.Uint())
		}
	}
}

// snake is a field's name as labels are written: IPHeader is ip_header.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := i > 0 && unicode.IsUpper(r) &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
