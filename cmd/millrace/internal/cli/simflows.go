package cli

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/millrace-tcp/millrace/sim"
)

// writeFlows writes a line about each flow, the short ones of cross traffic included. What is
// not known of a flow is empty.
func writeFlows(w io.Writer, r *sim.Result) error {
	c := csv.NewWriter(w)
	num := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	rows := [][]string{{
		"flow", "cc", "start_s", "bytes", "completion_s", "goodput_bps", "retransmits", "timeouts",
		"rtt_min_ms", "rtt_p50_ms", "rtt_p95_ms", "cwnd_avg_pkts",
	}}
	for i, f := range r.Flows {
		took := ""
		if f.CompletionS != nil {
			took = num(*f.CompletionS)
		}
		rows = append(rows, []string{
			strconv.Itoa(i), f.CC, num(f.StartS), strconv.FormatInt(f.Octets, 10), took, num(f.GoodputBPS),
			strconv.FormatUint(f.Retransmits, 10), strconv.FormatUint(f.Timeouts, 10),
			num(f.RTTMillis.Min), num(f.RTTMillis.P50), num(f.RTTMillis.P95), num(f.CwndPackets.Avg),
		})
	}
	if r.Cross != nil {
		for _, f := range r.Cross.Short {
			took, rate := "", ""
			if f.Completed {
				took = num(f.Completion.Seconds())
				rate = num(float64(f.Octets) * 8 / f.Completion.Seconds())
			}
			rows = append(rows, []string{
				"short", f.CC, num(f.Start.Seconds()), strconv.FormatInt(f.Octets, 10), took, rate, "", "", "", "", "", "",
			})
		}
	}
	if err := c.WriteAll(rows); err != nil {
		return fmt.Errorf("write flows: %w", err)
	}
	return nil
}
