package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/inspect"
)

func (a *app) ssCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ss",
		Short: "Show the connections of the instances that run",
		Long: `Ss asks each running millrace of this user (of all users, as root) for its connections, and
prints them as ss -ti prints the kernel's, and how many frames each queue has, by which rule,
and what became of those that were received. The sockets at which it asks are in /run/millrace,
or below $XDG_RUNTIME_DIR for users other than root.`,
		Example: `  millrace ss
  millrace ss --json | jq '.[].connections[].cwnd_bytes'`,
		Args: arguments(0, ""),
	}
	asJSON := cmd.Flags().Bool("json", false, "print an array of instances, each with its connections")
	pid := cmd.Flags().Int("pid", 0, "only the instance that is process `N`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.ss(cmd.Context(), inspect.Dir(), *pid, *asJSON)
	}
	return cmd
}

// ss prints what the instances at dir tell.
func (a *app) ss(ctx context.Context, dir string, pid int, asJSON bool) error {
	all, err := inspect.Instances(ctx, dir)
	chosen := []inspect.Instance{}
	for _, i := range all {
		if pid == 0 || i.PID == pid {
			chosen = append(chosen, i)
		}
	}
	if asJSON {
		a.printJSON(chosen)
		return err
	}
	for n, i := range chosen {
		if n > 0 {
			fmt.Fprintln(a.stdout)
		}
		printInstance(a.stdout, i)
	}
	if err == nil && len(chosen) == 0 {
		fmt.Fprintln(a.stderr, "no instance of millrace runs here, or it is another user's")
	}
	return err
}

func printInstance(w io.Writer, i inspect.Instance) {
	fmt.Fprintf(w, "%s on %s (%s): XDP %s, AF_XDP %s, %d queues, MTU %d; pid %d\n", startedAs(i), i.NIC.Name, i.NIC.Driver,
		i.NIC.Attached, copies(i.NIC.ZeroCopy), i.NIC.Queues, i.NIC.MTU, i.PID)
	fmt.Fprintf(w, "%d connections, %d half open, %d in TIME-WAIT, %d listeners, %d KiB of buffers, %d KiB of frames in %s\n",
		len(i.Connections), i.HalfOpen, i.TimeWaits, i.Listeners, i.BufferOctets>>10,
		i.NIC.FrameOctets>>10, i.NIC.FramePages)
	fmt.Fprintf(w, "frames: %s; kept by readers %d of %d; kept %d, copied for want of room %d, copied later %d; "+
		"forwarded between queues %d, dropped on queues not served %d\n", i.NIC.FrameRule, i.Frames.KeptNow, i.Frames.KeptMax,
		i.Frames.Kept, i.Frames.KeptShort, i.Frames.Spilled, i.Frames.Forwarded, i.Frames.NoSocket)
	for _, c := range i.Connections {
		fmt.Fprintf(w, "%-12s %7d %7d  %s  %s\n\t%s\n", c.State, c.RecvQueue, c.SendQueue, c.Local, c.Remote, details(c))
	}
}

// startedAs is what the instance was started as, without the directory and what follows the
// flags.
func startedAs(i inspect.Instance) string {
	words := []string{"millrace"}
	for _, arg := range i.Command[min(1, len(i.Command)):] {
		if strings.HasPrefix(arg, "-") {
			break
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

func copies(zeroCopy []bool) string {
	n := 0
	for _, z := range zeroCopy {
		if z {
			n++
		}
	}
	switch n {
	case 0:
		return "copy"
	case len(zeroCopy):
		return "zero-copy"
	}
	return fmt.Sprintf("zero-copy on %d of %d queues", n, len(zeroCopy))
}

// details is the second line of a connection, in the words of ss -ti. What is zero and says
// nothing by it is left out.
func details(c inspect.Connection) string {
	words := []string{c.CC}
	add := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(c.Timestamps, "ts")
	add(c.SACK, "sack")
	add(c.ECN != "", "%s", c.ECN)
	add(true, "wscale:%d,%d", c.SendScale, c.RecvScale)
	add(true, "rto:%g", c.RTO)
	add(c.RTT > 0, "rtt:%g/%g", c.RTT, c.RTTVar)
	add(c.MinRTT > 0, "minrtt:%g", c.MinRTT)
	add(true, "mss:%d rcvmss:%d", c.MSS, c.RecvMSS)
	add(true, "cwnd:%d", segments(c.Cwnd, c.MSS))
	add(c.Ssthresh < unsetSsthresh, "ssthresh:%d", segments(c.Ssthresh, c.MSS))
	add(c.Recovery != "open", "ca_state:%s", c.Recovery)
	add(c.Acked > 0, "bytes_acked:%d", c.Acked)
	add(c.Received > 0, "bytes_received:%d", c.Received)
	add(true, "segs_out:%d segs_in:%d", c.SegmentsOut, c.SegmentsIn)
	add(c.Retransmits > 0, "retrans:%d bytes_retrans:%d timeouts:%d", c.Retransmits, c.Retransmitted, c.Timeouts)
	add(c.Flight > 0, "unacked:%d", segments(c.Flight, c.MSS))
	add(c.DeliveryRate > 0, "delivery_rate %dbps", c.DeliveryRate)
	add(c.PacingRate > 0, "pacing_rate %dbps", c.PacingRate)
	add(true, "lastsnd:%.0f lastrcv:%.0f", c.LastSent, c.LastReceived)
	add(true, "snd_wnd:%d rcv_wnd:%d", c.SendWindow, c.RecvWindow)
	return strings.TrimSpace(strings.Join(words, " "))
}

// unsetSsthresh is what no reduction leaves: a quarter of what "arbitrarily high" is here.
const unsetSsthresh = 1 << 29

func segments(octets, mss int) int { return (octets + max(1, mss) - 1) / max(1, mss) }
