package xsk_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
)

func TestPort(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		for _, tt := range []struct {
			name string
			cfg  xsk.Config
		}{
			{"default", xsk.Config{}},
			{"small rings, large frames", xsk.Config{RXRing: 128, TXRing: 64, TXFrames: 50, FrameSize: 4096}},
			{"busy poll", xsk.Config{BusyPoll: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				dataplanetest.TestPort(t, func(t *testing.T) (dataplane.Port, dataplane.Port) {
					pa, pb := b.ports(t, tt.cfg)
					return pa, pb
				})
			})
		}
	})
}
