package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// counters are the connection's own counts, and the small state of rate limits.
type counters struct {
	segsIn, segsOut      uint64
	acked, received      uint64
	resent, resentOctets uint64
	fastRetrans          uint64
	timeouts             uint64
	dsacks, undone       uint64
	marked               uint64 // octets of ours that the peer says arrived with CE
	synResent            int
	challengedAt         mono.Time
	challenges           int
	persist              uint // back-off of the persist timer
	finAcked             bool
	suspects             uint8 // segments with an ACK that cannot be, up to waryAfter
	unmeasured           bool  // our SYN and ACK was a cookie: it gives no round trip
	passive              bool
}

// Info is the state of a connection as Linux's struct tcp_info has it, in octets and
// durations. Fields of tcp_info that mean nothing here are left out.
type Info struct {
	State      State
	Congestion string // name of the algorithm; "" before the handshake ends, or if it has none
	Recovery   string // "open", "recovery" or "loss"

	Options                    InfoOptions
	SendScale, RecvScale       uint8
	SendMSS, RecvMSS, PathMSS  int
	AnnouncedMSS               int
	RTO, DelayedACK            time.Duration
	RTT, RTTVar, MinRTT        time.Duration
	Cwnd, Ssthresh             int
	Flight, Sacked, LostOctets int // octets; what was sent again is in flight, not lost
	GivenUp, Resent            int // octets given up, sent again or not; sent again and not reported since
	SendWindow, RecvWindow     int
	NotSent, RecvQueue         int
	Retransmits, Backoff, Prob int // of the oldest segment; probes unanswered
	LastSent, LastReceived     time.Duration
	PacingRate                 int64 // octets a second
	DeliveryRate               int64

	OctetsAcked, OctetsReceived, OctetsRetransmitted uint64
	SegmentsOut, SegmentsIn, SegmentsRetransmitted   uint64
	Timeouts, FastRecoveries, DSACKs, Undone         uint64
	Delivered, Lost                                  uint64
	Marked                                           uint64 // octets that the peer says arrived with CE
	Clamps                                           uint64 // values of the algorithm that were out of bounds

	Limit    string // what holds data back: "application", "cwnd", "pacing" or "rwnd"
	Replaced string // the algorithm that the guard replaced by Reno, and why; "": none
	Shadow   ShadowInfo
}

// InfoOptions says what was negotiated.
type InfoOptions struct {
	Timestamps, SACK, WindowScale bool
	ECN                           string // "", "ecn" or "accecn"
}

// Info returns the state of the connection at now. For the worker, as every method is.
func (c *Conn) Info(now mono.Time) Info {
	i := Info{
		State: c.state, Congestion: c.algorithmName(), Recovery: c.rec.mode.String(),
		Options:   InfoOptions{c.rcv.tsOK, c.rcv.sackOK, c.rcv.scaleOK, c.ecn.kind.String()},
		SendScale: c.snd.shift, RecvScale: c.rcv.shift,
		SendMSS: c.sendMSS(), RecvMSS: c.rcv.segMax, PathMSS: c.PathMSS(), AnnouncedMSS: c.p.MSS,
		RTO: c.rtt.timeout(), DelayedACK: c.cfg.DelayedACK,
		RTT: c.rtt.srtt, RTTVar: c.rtt.rttvar, MinRTT: c.rtt.minRTT,
		Cwnd: c.cwnd(), Ssthresh: c.flow.Ssthresh(),
		Sacked: c.board.sacked, LostOctets: c.board.lost,
		SendWindow: c.snd.WND, RecvWindow: max(0, c.rcv.edge.Sub(c.rcv.NXT)),
		RecvQueue:   c.p.Recv.Len(),
		Retransmits: c.life.retries, Backoff: int(c.rtt.backoff), Prob: c.life.probes + c.life.keepProbes,
		LastSent: now.Sub(c.snd.sentAt), LastReceived: now.Sub(c.rcv.heardAt),
		Limit: c.rec.limit.String(), Replaced: c.Replaced(), Shadow: c.shadowInfo(),
		PacingRate: c.pacingRate(), DeliveryRate: c.ack.Rate.OctetsPerSec,
		OctetsAcked: c.count.acked, OctetsReceived: c.count.received,
		OctetsRetransmitted: c.count.resentOctets,
		SegmentsOut:         c.count.segsOut, SegmentsIn: c.count.segsIn,
		SegmentsRetransmitted: c.count.resent + uint64(c.count.synResent),
		Timeouts:              c.count.timeouts, FastRecoveries: c.count.fastRetrans, DSACKs: c.count.dsacks, Undone: c.count.undone,
		Delivered: c.flow.Delivered, Lost: c.flow.Lost, Clamps: c.flow.Clamps(),
		Marked: c.count.marked,
	}
	if c.state.Synchronized() && c.state != StateTimeWait {
		i.Flight = c.pipe()
		i.GivenUp, i.Resent = c.board.repairs()
		i.NotSent = c.p.Send.Len() - c.snd.NXT.Sub(c.snd.UNA)
		if c.snd.fin {
			i.NotSent = 0
		}
	}
	return i
}

// algorithmName is what the algorithm says that it is called, if there is one and it does.
func (c *Conn) algorithmName() string {
	if _, ok := c.alg.(congestion.Named); ok {
		return nameOf(c.alg)
	}
	return ""
}

// String returns the mode as it is shown.
func (m recoveryMode) String() string { return m.public().String() }

// View is what the invariant checkers of tests and simulations look at.
type View struct {
	UNA, NXT           uint32
	RcvNXT             uint32
	Pipe, Cwnd, Window int // octets
	Slack              int // octets that may go beyond Cwnd: limited transmit, a tail loss probe, PRR's last segment
	Board              int // segments on their way
	MSS                int // what a segment carries at the most
	SACK               bool
	Recovering         bool
	RTT                time.Duration // the last measured
	RTTSamples         uint64        // how often it was measured
}

// slack is by how much what is in flight may be above cwnd.
func (c *Conn) slack() int {
	n := c.sendWindow() - c.cwnd()
	if c.tlp.out && !c.tlp.resent {
		// One segment beyond what there was, which a reduction may have left above cwnd.
		n = max(n+c.sendMSS(), c.pipe()-c.cwnd())
	}
	if c.governed() {
		n += c.sendMSS()
	}
	return n
}

// View returns the sender's state.
func (c *Conn) View() View {
	return View{
		UNA: uint32(c.snd.UNA), NXT: uint32(c.snd.NXT), RcvNXT: uint32(c.rcv.NXT),
		Pipe: c.pipe(), Cwnd: c.cwnd(), Slack: c.slack(), Window: c.snd.WND, Board: c.board.len(),
		MSS: c.sendMSS(), SACK: c.rcv.sackOK, Recovering: c.rec.mode != modeOpen,
		RTT: c.rtt.latest, RTTSamples: c.rtt.samples,
	}
}
