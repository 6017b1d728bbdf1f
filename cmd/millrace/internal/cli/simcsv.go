package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace-tcp/millrace/sim"
)

// simCSV is the files that a simulation writes, one for each flow.
type simCSV struct {
	files []*os.File
	bufs  []*bufio.Writer
	line  []byte
}

// csvRows is about how many rows a file has: as many as a chart can show.
const csvRows = 6000

// sampleEvery is the time between two rows of a run of so long.
func sampleEvery(run time.Duration) time.Duration {
	return max(run/csvRows, time.Millisecond).Round(time.Microsecond)
}

// newSimCSV makes the directory and the files flow-0.csv, flow-1.csv, ….
func newSimCSV(dir string, flows int) (*simCSV, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("sim: make directory of tables: %w", err)
	}
	t := new(simCSV)
	for i := range flows {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("flow-%d.csv", i)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sim: make table: %w", err), t.close())
		}
		w := bufio.NewWriter(f)
		t.files, t.bufs = append(t.files, f), append(t.bufs, w)
		if _, err := w.WriteString("t,cwnd,ssthresh,inflight,srtt,minrtt,rto,delivered,retransmits,queue\n"); err != nil {
			return nil, errors.Join(fmt.Errorf("sim: write table: %w", err), t.close())
		}
	}
	return t, nil
}

// sample writes a row. What goes wrong is found by close.
func (t *simCSV) sample(s sim.Sample) {
	ms := func(b []byte, d time.Duration) []byte {
		return append(strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64), ',')
	}
	num := func(b []byte, v int64) []byte { return append(strconv.AppendInt(b, v, 10), ',') }
	b := append(strconv.AppendFloat(t.line[:0], s.At.Seconds(), 'f', 6, 64), ',')
	b = num(b, int64(s.Cwnd))
	b = num(b, int64(s.Ssthresh))
	b = num(b, int64(s.InFlight))
	b = ms(b, s.SRTT)
	b = ms(b, s.MinRTT)
	b = ms(b, s.RTO)
	b = num(b, s.Delivered)
	b = num(b, int64(s.Retransmits))
	b = strconv.AppendInt(b, int64(s.Queue), 10)
	t.line = append(b, '\n')
	_, _ = t.bufs[s.Flow].Write(t.line) // a bufio.Writer keeps its error for Flush
}

// close ends the files. It may be called twice.
func (t *simCSV) close() error {
	var errs []error
	for i, f := range t.files {
		errs = append(errs, t.bufs[i].Flush(), f.Close())
	}
	t.files, t.bufs = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sim: write tables: %w", err)
	}
	return nil
}
