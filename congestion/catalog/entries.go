package catalog

import (
	"cmp"
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/congestion/bbr1"
	"github.com/millrace-tcp/millrace/congestion/cubic"
	"github.com/millrace-tcp/millrace/congestion/dctcp"
	"github.com/millrace-tcp/millrace/congestion/fixed"
	"github.com/millrace-tcp/millrace/congestion/hystart"
	"github.com/millrace-tcp/millrace/congestion/ledbat"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/congestion/vegas"
)

const onOff = "on or off"

func renoEntry() Entry {
	return Entry{
		Name: "reno",
		About: "slow start, congestion avoidance and halving on loss (RFC 5681), " +
			"counted in octets (RFC 3465)",
		Options: []Option{{
			Name: "L", Values: "1 to 64", Default: fmt.Sprint(reno.LimitDefault),
			About: "most segments that one ACK adds in slow start",
		}},
		New: func(v Values) (Maker, error) {
			limit, err := v.Int("L", reno.LimitDefault, 1, 64)
			return reno.Config{Limit: limit}.New, err
		},
	}
}

func cubicEntry() Entry {
	return Entry{
		Name:  "cubic",
		About: "growth by the cube of the time since the last loss (RFC 9438), slow start with HyStart++ (RFC 9406)",
		Options: []Option{
			{Name: "c", Values: "0.001 to 100", Default: fmt.Sprint(cubic.CDefault), About: "how steep the growth is, in segments a second cubed"},
			{Name: "beta", Values: "0.1 to 0.95", Default: fmt.Sprint(cubic.BetaDefault), About: "what a loss leaves of the window"},
			{Name: "fastconvergence", Values: onOff, Default: "on", About: "give way to new flows"},
			{Name: "hystart", Values: onOff, Default: "on", About: "end slow start when the delay grows"},
			{Name: "L", Values: "1 to 64", Default: fmt.Sprint(hystart.LimitDefault), About: "most segments that one ACK adds in slow start"},
		},
		New: func(v Values) (Maker, error) {
			var cfg cubic.Config
			var err [5]error
			var fast, hystart bool
			cfg.C, err[0] = v.Float("c", cubic.CDefault, 0.001, 100)
			cfg.Beta, err[1] = v.Float("beta", cubic.BetaDefault, 0.1, 0.95)
			fast, err[2] = v.Bool("fastconvergence", true)
			hystart, err[3] = v.Bool("hystart", true)
			cfg.Limit, err[4] = v.Int("L", 0, 1, 64)
			cfg.NoFastConvergence, cfg.NoHyStart = !fast, !hystart
			return cfg.New, cmp.Or(err[:]...)
		},
	}
}

func bbrEntry() Entry {
	return Entry{
		Name:  "bbr",
		About: "a model of the path's bandwidth and round trip, version 3 (draft-ietf-ccwg-bbr); paces",
		Options: []Option{
			{Name: "probertt", Values: "1s to 1m", Default: bbr.ProbeRTTIntervalDefault.String(), About: "how long a lowest round trip is believed"},
		},
		New: func(v Values) (Maker, error) {
			interval, err := v.Duration("probertt", bbr.ProbeRTTIntervalDefault, time.Second, time.Minute)
			return bbr.Config{ProbeRTTInterval: interval}.New, err
		},
	}
}

func bbr1Entry() Entry {
	return Entry{
		Name:  "bbr1",
		About: "version 1 of bbr, as in Linux: takes no notice of loss, unfair in small buffers; paces",
		New:   func(Values) (Maker, error) { return bbr1.New, nil },
	}
}

func dctcpEntry() Entry {
	return Entry{
		Name:  "dctcp",
		About: "for data centres: gives way by the share of octets marked CE (RFC 8257); asks for ECN, best AccECN",
		Options: []Option{
			{Name: "g", Values: "0.001 to 1", Default: fmt.Sprint(dctcp.GainDefault), About: "weight of the newest window in the estimate"},
		},
		New: func(v Values) (Maker, error) {
			gain, err := v.Float("g", dctcp.GainDefault, 0.001, 1)
			return dctcp.Config{Gain: gain}.New, err
		},
	}
}

func vegasEntry() Entry {
	segments := func(name string, value int, about string) Option {
		return Option{Name: name, Values: "1 to 1000", Default: fmt.Sprint(value), About: about}
	}
	return Entry{
		Name:  "vegas",
		About: "holds a few segments in the queue, by the round trip (Brakmo and Peterson, 1995)",
		Options: []Option{
			segments("alpha", vegas.AlphaDefault, "least segments in the queue"),
			segments("beta", vegas.BetaDefault, "most segments in the queue"),
			segments("gamma", vegas.GammaDefault, "segments in the queue that end slow start"),
		},
		New: func(v Values) (Maker, error) {
			var cfg vegas.Config
			var err [3]error
			cfg.Alpha, err[0] = v.Int("alpha", vegas.AlphaDefault, 1, 1000)
			cfg.Beta, err[1] = v.Int("beta", vegas.BetaDefault, 1, 1000)
			cfg.Gamma, err[2] = v.Int("gamma", vegas.GammaDefault, 1, 1000)
			return cfg.New, cmp.Or(err[:]...)
		},
	}
}

func ledbatEntry() Entry {
	return Entry{
		Name:  "ledbat",
		About: "for the background: adds little delay and gives way to all others (LEDBAT++, draft-irtf-iccrg-ledbat-plus-plus)",
		Options: []Option{
			{Name: "target", Values: "1ms to 1s", Default: ledbat.TargetDefault.String(), About: "most delay that it adds to the queue"},
		},
		New: func(v Values) (Maker, error) {
			target, err := v.Duration("target", ledbat.TargetDefault, time.Millisecond, time.Second)
			return ledbat.Config{Target: target}.New, err
		},
	}
}

func fixedEntry() Entry {
	const mbit = 1e6 / 8
	return Entry{
		Name:  "fixed",
		About: "a constant rate, whatever the network says: for tests, on networks of one's own",
		Options: []Option{
			{Name: "rate", Values: "0.001 to 100000", Default: fmt.Sprint(fixed.RateDefault / mbit), About: "Mbit/s of payload"},
		},
		New: func(v Values) (Maker, error) {
			rate, err := v.Float("rate", fixed.RateDefault/mbit, 0.001, 100_000)
			return fixed.Config{Rate: int64(rate * mbit)}.New, err
		},
	}
}
