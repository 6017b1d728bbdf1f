package trace

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// Mahimahi writes the log of a queue as mahimahi's mm-link does, for its plotting programs:
// "+" a packet came, "-" it left and how long that took, "d" it was dropped, "#" an
// opportunity to send; times are whole milliseconds.
type Mahimahi struct {
	w *bufio.Writer
	// Packets leave in the order in which they came, but when is known before: they wait
	// here until the log has come to that time.
	leaving []departure
	next    func() (at time.Duration, ok bool)
	chance  time.Duration
	more    bool
}

type departure struct {
	at, waited time.Duration
	octets     int
}

// opportunity is how many octets an opportunity is for.
const opportunity = 1504

// NewMahimahi begins a log. next returns the opportunities to send, one after the other; nil: they are
// not known.
func NewMahimahi(w io.Writer, command string, next func() (at time.Duration, ok bool)) *Mahimahi {
	m := &Mahimahi{w: bufio.NewWriter(w), next: next}
	fmt.Fprintf(m.w, "# mahimahi mm-link (uplink) [millrace]\n# command line: %s\n# queue: droptail\n"+
		"# init timestamp: 0\n# base timestamp: 0\n", command)
	if next != nil {
		m.chance, m.more = next()
	}
	return m
}

// Came is a packet that was put into the queue.
func (m *Mahimahi) Came(at time.Duration, octets int) {
	m.until(at)
	fmt.Fprintf(m.w, "%d + %d\n", at.Milliseconds(), octets)
}

// Dropped is a packet that was not, or not to the end.
func (m *Mahimahi) Dropped(at time.Duration, octets int) {
	m.until(at)
	fmt.Fprintf(m.w, "%d d 1 %d\n", at.Milliseconds(), octets)
}

// Leaves is a packet that leaves at a time, which may lie ahead.
func (m *Mahimahi) Leaves(at time.Duration, octets int, waited time.Duration) {
	m.leaving = append(m.leaving, departure{at, waited, octets})
}

// until writes what happens up to a time.
func (m *Mahimahi) until(at time.Duration) {
	n := 0
	for n < len(m.leaving) || m.more {
		if m.more && (n == len(m.leaving) || m.chance <= m.leaving[n].at) {
			if m.chance > at {
				break
			}
			fmt.Fprintf(m.w, "%d # %d\n", m.chance.Milliseconds(), opportunity)
			m.chance, m.more = m.next()
			continue
		}
		d := m.leaving[n]
		if d.at > at {
			break
		}
		n++
		fmt.Fprintf(m.w, "%d - %d %d\n", d.at.Milliseconds(), d.octets, d.waited.Milliseconds())
	}
	m.leaving = m.leaving[:copy(m.leaving, m.leaving[n:])]
}

// Close ends the log at a time. The writer below stays open.
func (m *Mahimahi) Close(at time.Duration) error {
	m.until(at)
	if err := m.w.Flush(); err != nil {
		return fmt.Errorf("trace: write queue log: %w", err)
	}
	return nil
}
