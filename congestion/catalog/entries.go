package catalog

import (
	"cmp"
	"fmt"

	"github.com/millrace-tcp/millrace/congestion/cubic"
	"github.com/millrace-tcp/millrace/congestion/reno"
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
		},
		New: func(v Values) (Maker, error) {
			var cfg cubic.Config
			var err [4]error
			var fast, hystart bool
			cfg.C, err[0] = v.Float("c", cubic.CDefault, 0.001, 100)
			cfg.Beta, err[1] = v.Float("beta", cubic.BetaDefault, 0.1, 0.95)
			fast, err[2] = v.Bool("fastconvergence", true)
			hystart, err[3] = v.Bool("hystart", true)
			cfg.NoFastConvergence, cfg.NoHyStart = !fast, !hystart
			return cfg.New, cmp.Or(err[:]...)
		},
	}
}
