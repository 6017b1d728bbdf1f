package tcp

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// rackConn is a connection with a round trip of 80 ms at the least, 100 ms smoothed.
func rackConn() *Conn {
	c := fuzzConn(&wire.Segment{SEQ: 1000, Flags: wire.SYN, WND: 65535, Opt: wire.Options{Has: wire.HasSACKPermitted}})
	c.rcv.sackOK = true
	c.rtt.minRTT, c.rtt.srtt, c.rtt.samples = 80*time.Millisecond, 100*time.Millisecond, 1
	c.rack.mult, c.flow.MSS = 1, 1000
	return c
}

// O9: the reordering window is zero while no reordering was seen and recovery goes on or three
// segments are SACKed; else mult quarters of the minimum round trip, at most SRTT. mult grows
// once a round with DSACKs, and is taken back after 16 recoveries.
// https://www.rfc-editor.org/rfc/rfc8985.html#section-6.2
func TestOracleReorderingWindow(t *testing.T) {
	c := rackConn()
	is := func(what string, want float64) {
		t.Helper()
		oracle.Is(t, "O9", what, want, millis(c.reoWindow()), 1e-9)
	}
	is("reo_wnd in ms, nothing seen", 20)
	c.board.sackedSegs = 3
	is("reo_wnd with three SACKed", 0)
	c.board.sackedSegs, c.rec.mode = 0, modeFast
	is("reo_wnd in recovery", 0)
	c.rack.reordering = true
	is("reo_wnd in recovery, reordering seen", 20)
	for mult := 2; mult <= 6; mult++ {
		c.rack.dsack(c.snd.UNA, c.snd.NXT)
		c.rack.inRound = false // the round is over
		is("reo_wnd after another round with a DSACK", min(float64(20*mult), 100))
	}
	c.rack.inRound, c.rack.round = true, c.snd.UNA.Add(1)
	c.rack.dsack(c.snd.UNA, c.snd.NXT)
	oracle.Is(t, "O9", "mult after two DSACKs of one round", 6, float64(c.rack.mult), 0)
	for range reoPersist - 1 {
		c.rack.recovered()
	}
	oracle.Is(t, "O9", "mult after 15 recoveries", 6, float64(c.rack.mult), 0)
	c.rack.recovered()
	oracle.Is(t, "O9", "mult after 16 recoveries", 1, float64(c.rack.mult), 0)
}

// O9: PTO = 2*SRTT, with the most that an ACK may be held when one segment is in flight, never
// later than the retransmission time-out; a second without SRTT.
// https://www.rfc-editor.org/rfc/rfc8985.html#section-7.2
func TestOracleProbeTimeout(t *testing.T) {
	c := rackConn()
	c.timers[timerRetransmit] = mono.Never
	now := mono.Time(time.Hour)
	is := func(what string, want float64) {
		t.Helper()
		oracle.Is(t, "O9", what, want, millis(c.probeTimeout(now).Sub(now)), 1e-9)
	}
	send := func(n int) {
		c.board.push(sent{start: c.snd.NXT, end: c.snd.NXT.Add(n), at: now})
		c.snd.NXT = c.snd.NXT.Add(n)
	}
	c.rtt.rto = time.Second
	send(c.flow.MSS)
	is("PTO in ms, one segment in flight", 400)
	send(c.flow.MSS)
	is("PTO, two segments in flight", 200)
	c.rtt.rto = 150 * time.Millisecond
	is("PTO, the time-out comes first", 150)
	c.rtt.rto, c.rtt.samples = 3*time.Second, 0
	is("PTO without SRTT", 1000)
}
