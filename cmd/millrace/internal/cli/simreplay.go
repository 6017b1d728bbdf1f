package cli

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/trace"
)

// replayed is what sim replay --json prints.
type replayed struct {
	Recorded     string  `json:"recorded"`
	Replayed     string  `json:"replayed"`
	Events       int     `json:"events"`
	TimeS        float64 `json:"time_s"`
	MeanRecorded float64 `json:"cwnd_recorded_bytes"`
	MeanReplayed float64 `json:"cwnd_replayed_bytes"`
	Apart        float64 `json:"apart"` // mean distance of the windows, as a share of the recorded
	Clamps       uint64  `json:"clamps"`
}

func (a *app) simReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay FILE --cc NAME",
		Short: "Have another algorithm hear what one was told",
		Long: `Replay reads the events of a connection, of sim --events or of --trace on a NIC, and has
another algorithm hear them: every ACK, every loss, every episode. It shows what windows that would have
set beside those that were recorded. The events are those that the recorded windows brought
about: it shows how an algorithm judges, not how the network would have answered.`,
		Example: `  millrace sim --cc reno --events out
  millrace sim replay out/flow-0.events.gz --cc cubic --html replay.html`,
		Args: arguments(1, "a file"),
	}
	f := cmd.Flags()
	cc := f.String("cc", catalog.Default, "congestion control `NAME`, see millrace cc list")
	asJSON := f.Bool("json", false, "print one object")
	html := f.String("html", "", "write a page with both windows to `FILE`")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := a.checkCC(*cc); err != nil {
			return usagef("--cc: %w", err)
		}
		r, err := a.replayFile(args[0], *cc, *html)
		if err != nil {
			return err
		}
		if *asJSON {
			a.printJSON(replayed{
				Recorded: r.Recorded, Replayed: r.Name, Events: r.Events, TimeS: r.Took.Seconds(),
				MeanRecorded: r.MeanRecorded, MeanReplayed: r.MeanReplayed, Apart: r.Apart, Clamps: r.Clamps,
			})
			return nil
		}
		_, err = fmt.Fprintf(a.stdout, "%d events of %v\nmean window of %s, recorded: %.0f octets\nmean window of %s, replayed: %.0f octets\n"+
			"they are %.1f %% of the recorded one apart in the mean\n",
			r.Events, r.Took.Round(time.Millisecond), r.Recorded, r.MeanRecorded, r.Name, r.MeanReplayed, 100*r.Apart)
		return err
	}
	return cmd
}

func (a *app) replayFile(name, cc, html string) (*trace.Replayed, error) {
	_, maker, err := a.table().Parse(cc)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("sim: replay: %w", err)}
	}
	defer f.Close()
	if html == "" {
		return trace.Replay(f, maker(), nil, time.Second)
	}
	page := trace.NewPage("Replay of "+name, 0)
	r, err := trace.Replay(f, maker(), page, replayTick)
	if err != nil {
		return nil, err
	}
	page.Subtitle = fmt.Sprintf("What %s was told, and what %s makes of it", r.Recorded, r.Name)
	page.Flow(0, r.Recorded+", recorded")
	page.Flow(1, r.Name+", replayed")
	page.Facts = []trace.Fact{
		{Name: "Events", Value: fmt.Sprint(r.Events)},
		{Name: "Mean window, recorded", Value: fmt.Sprintf("%.1f", r.MeanRecorded/1000), Note: "kB"},
		{Name: "Mean window, replayed", Value: fmt.Sprintf("%.1f", r.MeanReplayed/1000), Note: "kB"},
		{Name: "Apart", Value: fmt.Sprintf("%.1f", 100*r.Apart), Note: "%"},
	}
	return r, writeFile(html, page.Write)
}

// replayTick is how often a plot of a replay has a point.
const replayTick = 10 * time.Millisecond
