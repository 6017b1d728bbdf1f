package transcript

import (
	"fmt"
	"math"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// check evaluates the assertions over tcp_info. Those that are more than comparisons of
// numbers, or about numbers that this stack does not have, are left out with a note.
func (p *player) check(code string) error {
	list, skipped := pktdrill.Assertions(code)
	for _, s := range skipped {
		p.note("left out: %s", s)
	}
	conn := p.connection()
	for i := range list {
		a := &list[i]
		if conn == nil {
			p.note("left out: %s: there is no connection", a.Text)
			continue
		}
		info := conn.TCP().Info(p.now)
		holds, err := a.Holds(func(name string) (int64, bool) { return lookup(&info, name) })
		if err != nil {
			p.note("left out: %s: %v", a.Text, err)
			continue
		}
		if !holds {
			return fmt.Errorf("expected %s, it does not hold: cwnd %d, flight %d, MSS %d, %s",
				a.Text, info.Cwnd, info.Flight, info.SendMSS, info.Recovery)
		}
	}
	return nil
}

// connection is that of the last socket which has one.
func (p *player) connection() *engine.Conn {
	best := -1
	for fd, f := range p.fds {
		if f.Stream() != nil && fd > best {
			best = fd
		}
	}
	if best < 0 {
		return nil
	}
	return p.fds[best].Stream().Conn()
}

// lookup is a field of struct tcp_info, or a constant that assertions compare it to.
func lookup(i *engine.Info, name string) (int64, bool) {
	mss := int64(max(1, i.SendMSS))
	segments := func(octets int) int64 { return (int64(octets) + mss - 1) / mss }
	state := map[string]int64{"open": 0, "recovery": 3, "loss": 4}
	states := map[string]int64{
		"ESTABLISHED": 1, "SYN-SENT": 2, "SYN-RECEIVED": 3, "FIN-WAIT-1": 4, "FIN-WAIT-2": 5, "TIME-WAIT": 6,
		"CLOSED": 7, "CLOSE-WAIT": 8, "LAST-ACK": 9, "LISTEN": 10, "CLOSING": 11,
	}
	if i.Recovery == "open" && i.Sacked > 0 {
		state["open"] = 1 // Linux calls it disorder
	}
	ssthresh := segments(i.Ssthresh)
	if i.Ssthresh > math.MaxInt32/2 {
		ssthresh = math.MaxInt32
	}
	values := map[string]int64{
		"tcpi_state": states[i.State.String()], "tcpi_ca_state": state[i.Recovery],
		"tcpi_snd_cwnd": int64(i.Cwnd) / mss, "tcpi_snd_ssthresh": ssthresh,
		"tcpi_unacked": segments(i.Flight + i.Sacked + i.LostOctets), "tcpi_sacked": segments(i.Sacked),
		"tcpi_lost": segments(i.GivenUp), "tcpi_retrans": segments(i.Resent), "tcpi_retransmits": int64(i.Retransmits),
		"tcpi_backoff": int64(i.Backoff), "tcpi_probes": int64(i.Prob),
		"tcpi_rtt": i.RTT.Microseconds(), "tcpi_rttvar": i.RTTVar.Microseconds(), "tcpi_rto": i.RTO.Microseconds(),
		"tcpi_min_rtt": i.MinRTT.Microseconds(), "tcpi_snd_mss": int64(i.SendMSS), "tcpi_rcv_mss": int64(i.RecvMSS),
		"tcpi_snd_wscale": int64(i.SendScale), "tcpi_rcv_wscale": int64(i.RecvScale),
		"tcpi_bytes_acked": int64(i.OctetsAcked), "tcpi_bytes_received": int64(i.OctetsReceived),
		"tcpi_bytes_retrans": int64(i.OctetsRetransmitted), "tcpi_segs_out": int64(i.SegmentsOut),
		"tcpi_segs_in": int64(i.SegmentsIn), "tcpi_total_retrans": int64(i.SegmentsRetransmitted),
		"tcpi_advmss":         int64(i.AnnouncedMSS),
		"tcpi_last_data_sent": i.LastSent.Milliseconds(), "tcpi_last_data_recv": i.LastReceived.Milliseconds(),
		"tcpi_last_ack_recv": i.LastReceived.Milliseconds(), "tcpi_delivered": segments(int(i.Delivered)),
		"tcpi_rcv_wnd":     int64(i.RecvWindow),
		"tcpi_pacing_rate": i.PacingRate, "tcpi_delivery_rate": i.DeliveryRate,
		"tcpi_delivered_ce_bytes": int64(i.Marked),
		"tcpi_notsent_bytes":      int64(i.NotSent), "tcpi_dsack_dups": int64(i.DSACKs),
		"tcpi_snd_wnd": int64(i.SendWindow), "tcpi_total_rto": int64(i.Timeouts),
		"TCP_CA_Open": 0, "TCP_CA_Disorder": 1, "TCP_CA_CWR": 2, "TCP_CA_Recovery": 3, "TCP_CA_Loss": 4,
		"TCP_ESTABLISHED": 1, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8,
		"TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8,
		"TCPI_OPT_SYN_DATA": 32, "TCP_INFINITE_SSTHRESH": math.MaxInt32,
		"tcpi_options": bit(i.Options.Timestamps, 1) | bit(i.Options.SACK, 2) | bit(i.Options.WindowScale, 4) |
			bit(i.Options.ECN != "", 8),
	}
	v, ok := values[name]
	return v, ok
}

func bit(on bool, b int64) int64 {
	if on {
		return b
	}
	return 0
}
