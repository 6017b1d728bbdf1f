package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// WriteText prints the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "millrace on %s (%s): XDP %s, AF_XDP %s, MTU %d, %s, %s; Linux %s, %s\n",
		r.Interface, r.Driver, r.XDP, r.AFXDP, r.MTU, plural(r.Queues, "queue"), r.CC, r.Kernel, plural(r.CPUs, "CPU"))
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	b.WriteString("\n")
	r.table(&b)
	b.WriteString("\n")
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "SHA-256 of %d MiB, millrace %s: ok (%.12s…, %.2f Gbit/s while hashing)\n",
			c.Octets>>20, verb(c.Way), c.SHA256, c.BitsPerSecond/1e9)
	}
	r.counters(&b)
	r.explain(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func verb(way string) string {
	if way == "receive" {
		return "receives"
	}
	return "sends"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// table is the measurements, the names on the left and the numbers on the right.
func (r *Report) table(b *strings.Builder) {
	names, units := make([]string, len(r.Rows)), make([]string, len(r.Rows))
	wide, wideUnit := 0, 0
	for i, row := range r.Rows {
		names[i], units[i] = row.Title, scaleOf(row).unit
		if row.Better == "less" {
			units[i] += " (less is better)"
		}
		wide, wideUnit = max(wide, utf8.RuneCountInString(names[i])), max(wideUnit, utf8.RuneCountInString(units[i]))
	}
	var lines strings.Builder
	w := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%-*s  %-*s\tmillrace\tkernel\tratio\tkernel, XDP\tratio\t\n", wide, "", wideUnit, "")
	for i, row := range r.Rows {
		s := scaleOf(row)
		fmt.Fprintf(w, "%-*s  %-*s\t%.*f\t%.*f\t%.2f\t%.*f\t%.2f\t\n", wide, names[i], wideUnit, units[i],
			s.digits, row.Millrace/s.by, s.digits, row.Kernel/s.by, row.Ratio, s.digits, row.KernelXDP/s.by, row.RatioXDP)
	}
	_ = w.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(lines.String()) {
		b.WriteString(strings.TrimPrefix(line, "  ")) // the first column needs no distance
	}
}

// scale is how a number is shown.
type scale struct {
	unit   string
	by     float64
	digits int
}

func scaleOf(row Row) scale {
	switch row.Unit {
	case "bit/s":
		return scale{"Gbit/s", 1e9, 2}
	case "us":
		return scale{"µs", 1, 1}
	case "1/s":
		return scale{"a second", 1, 0}
	}
	return scale{row.Unit, 1, 2}
}

func (r *Report) counters(b *strings.Builder) {
	var passed uint64
	for name, n := range r.Counters.XDP {
		if strings.HasPrefix(name, "passed_") {
			passed += n
		}
	}
	p, s := r.Counters.Port, r.Counters.Stack
	fmt.Fprintf(b, "XDP redirected %d segments of millrace's flows, and left %d packets of others to the kernel\n",
		r.Counters.XDP["redirected"], passed)
	fmt.Fprintf(b, "AF_XDP: %d frames in, %d out, %d dropped; TCP: %d connections accepted, %d segments sent again, %d dropped\n",
		p.RXFrames, p.TXFrames, p.RXDropped+p.TXDropped, s.Accepted, s.RetransSegs, s.Drops)
}

// arrives says how the kernel's peer may send to an interface with XDP: in the driver it takes
// packets of the MTU only, in the network core it takes them uncut.
func (r *Report) arrives() string {
	if r.XDP == "generic" {
		return "uncut, as generic XDP leaves it"
	}
	return "MTU-sized, as native XDP wants it"
}

// explain says what the numbers mean.
func (r *Report) explain(b *strings.Builder) {
	fmt.Fprintf(b, `
The peer is kernel TCP (%s). "kernel" has a veth pair to itself and sends 64 KiB at a time (TSO); "kernel, XDP" shares millrace's, where what it receives is %s.
AF_XDP sends packets of MTU %d without segmentation offload and, on a veth, copies each; both ends, driver and all, share %s. Receive and send are millrace's.
`, r.KernelCC, r.arrives(), r.MTU, plural(r.CPUs, "CPU"))
}
