package trace

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// CSV writes the ticks of one flow as a table: t in seconds; cwnd, ssthresh, inflight,
// delivered and queue in octets; srtt, minrtt and rto in milliseconds; pacing and delivery in
// bits a second; state and limit in words; and what the algorithm shows of its state, under the
// names that it has for that, with cc_ before them.
type CSV struct {
	w    *bufio.Writer
	line []byte
	// names is the columns of the algorithm: those that it shows when the flow opens. The head
	// and the lines before that wait in early.
	names []string
	open  bool
	early bytes.Buffer
}

// csvHead is the first line, without the columns of the algorithm.
const csvHead = "t,cwnd,ssthresh,inflight,srtt,minrtt,rto,delivered,retransmits,queue,pacing,delivery,state,limit"

// csvEarlyMax bounds what waits for a flow to open, 8000 lines or so: a table that reaches it
// has no columns of the algorithm.
const csvEarlyMax = 1 << 20

// NewCSV begins a table.
func NewCSV(w io.Writer) *CSV { return &CSV{w: bufio.NewWriter(w)} }

// Put writes a tick.
func (c *CSV) Put(e *Entry) {
	if !e.Tick {
		return
	}
	if !c.open && (e.Cwnd > 0 || c.early.Len() > csvEarlyMax) {
		c.begin(e.Values)
	}
	c.line = append(c.values(c.row(e), e.Values), '\n')
	if c.open {
		_, _ = c.w.Write(c.line) // a bufio.Writer keeps its error for Flush
		return
	}
	_, _ = c.early.Write(c.line)
}

// begin writes the head, and the lines that waited for it.
func (c *CSV) begin(values []congestion.Value) {
	c.open = true
	_, _ = c.w.WriteString(csvHead)
	for _, v := range values {
		c.names = append(c.names, v.Name)
		_, _ = c.w.Write(appendField([]byte(","), "cc_"+v.Name))
	}
	_ = c.w.WriteByte('\n')
	empty := strings.Repeat(",", len(c.names)) + "\n"
	for line := range bytes.Lines(c.early.Bytes()) {
		_, _ = c.w.Write(line[:len(line)-1])
		_, _ = c.w.WriteString(empty)
	}
	c.early = bytes.Buffer{}
}

// row is the columns that every table has.
func (c *CSV) row(e *Entry) []byte {
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
	return append(b, e.Limit.String()...)
}

// values appends the columns of the algorithm. One that the connection switched to later has
// those that bear the same names.
func (c *CSV) values(b []byte, values []congestion.Value) []byte {
	for i, name := range c.names {
		b = append(b, ',')
		at := i
		if i >= len(values) || values[i].Name != name {
			for at = 0; at < len(values) && values[at].Name != name; at++ {
			}
		}
		switch {
		case at >= len(values):
		case values[at].Text != "":
			b = appendField(b, values[at].Text)
		default:
			b = strconv.AppendFloat(b, values[at].Number, 'g', 9, 64)
		}
	}
	return b
}

// appendField appends a text that may be of any form. https://www.rfc-editor.org/rfc/rfc4180.html#section-2
func appendField(b []byte, text string) []byte {
	if !strings.ContainsAny(text, ",\"\r\n") {
		return append(b, text...)
	}
	return append(append(append(b, '"'), strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), `"`, `""`)...), '"')
}

// Close ends the table. The writer below stays open.
func (c *CSV) Close() error {
	if !c.open {
		c.begin(nil)
	}
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("trace: write table: %w", err)
	}
	return nil
}
