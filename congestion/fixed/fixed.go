// Package fixed sends at a constant rate, whatever the network says. It is there for tests
// and measurements, on networks of one's own: it does not give way to anybody.
package fixed

import (
	"fmt"
	"strconv"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// RateDefault is 10 Mbit/s, in octets a second of payload.
const RateDefault = 10_000_000 / 8

// The window is only there so that the rate, not the window, limits: the round trip may double
// before it does, and ACKs may come in batches.
const (
	roundTrips = 2
	batch      = 64 // segments
)

// roundTripFirst is assumed before there is a measurement.
const roundTripFirst = 100 * time.Millisecond

// Config says how it is made. The zero value is what New returns.
type Config struct {
	// Rate is in octets of payload a second; RateDefault if 0.
	Rate int64
}

// Fixed is the state of one connection.
type Fixed struct{ rate int64 }

// New returns a constant rate with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.Rate <= 0 {
		cfg.Rate = RateDefault
	}
	return &Fixed{rate: cfg.Rate}
}

// New returns a constant rate of RateDefault.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "fixed".
func (x *Fixed) Name() string { return "fixed" }

// Init sets the rate.
func (x *Fixed) Init(f *congestion.Flow, _ mono.Time) { x.set(f) }

// OnAck sets it again, and a window for the round trip as it is now.
func (x *Fixed) OnAck(f *congestion.Flow, _ *congestion.Ack) { x.set(f) }

// OnCongestion changes nothing.
func (x *Fixed) OnCongestion(*congestion.Flow, *congestion.Congestion) {}

// Configure changes the rate while the connection lives: "rate" in Mbit/s of payload.
func (x *Fixed) Configure(f *congestion.Flow, name, value string) error {
	mbits, err := strconv.ParseFloat(value, 64)
	switch {
	case name != "rate":
		return fmt.Errorf("fixed: there is no option %q, there is rate", name)
	case err != nil || !(mbits > 0 && mbits <= 100_000): // NaN is neither
		return fmt.Errorf("fixed: rate=%s is not a number of Mbit/s up to 100000", value)
	}
	x.rate = max(1, int64(mbits*1e6/8))
	x.set(f)
	return nil
}

func (x *Fixed) set(f *congestion.Flow) {
	rtt := f.SRTT
	if rtt == 0 {
		rtt = roundTripFirst
	}
	window := float64(x.rate) * rtt.Seconds() * roundTrips
	f.SetPacing(x.rate)
	f.SetCwnd(int(min(window, congestion.CwndMax/2)) + batch*f.MSS)
}
