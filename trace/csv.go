package trace

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"
)

// CSV writes the ticks of one flow as a table: t in seconds; cwnd, ssthresh, inflight,
// delivered and queue in octets; srtt, minrtt and rto in milliseconds; pacing and delivery in
// bits a second; state and limit in words.
type CSV struct {
	w    *bufio.Writer
	line []byte
}

// csvHead is the first line.
const csvHead = "t,cwnd,ssthresh,inflight,srtt,minrtt,rto,delivered,retransmits,queue,pacing,delivery,state,limit\n"

// NewCSV begins a table.
func NewCSV(w io.Writer) *CSV {
	c := &CSV{w: bufio.NewWriter(w)}
	_, _ = c.w.WriteString(csvHead) // a bufio.Writer keeps its error for Flush
	return c
}

// Put writes a tick.
func (c *CSV) Put(e *Entry) {
	if !e.Tick {
		return
	}
	ms := func(b []byte, d time.Duration) []byte {
		return append(strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64), ',')
	}
	num := func(b []byte, v int64) []byte { return append(strconv.AppendInt(b, v, 10), ',') }
	b := append(strconv.AppendFloat(c.line[:0], e.At.Seconds(), 'f', 6, 64), ',')
	b = num(b, int64(e.Cwnd))
	b = num(b, int64(e.Ssthresh))
	b = num(b, int64(e.InFlight))
	b = ms(b, e.SRTT)
	b = ms(b, e.MinRTT)
	b = ms(b, e.RTO)
	b = num(b, e.Delivered)
	b = num(b, e.Retransmits)
	b = num(b, int64(e.Queue))
	b = num(b, 8*e.Pacing)
	b = num(b, 8*e.Delivery)
	b = append(append(b, e.State()...), ',')
	b = append(b, e.Limit.String()...)
	c.line = append(b, '\n')
	_, _ = c.w.Write(c.line)
}

// Close ends the table. The writer below stays open.
func (c *CSV) Close() error {
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("trace: write table: %w", err)
	}
	return nil
}
