package iperf3

import (
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// A stack that cannot switch a live connection is told before the data connections come,
// and told again when the test is over. One that does not have it does the test without.
func TestChooseCongestion(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	s := &Server{
		ChooseCongestion: func(name string) error {
			mu.Lock()
			defer mu.Unlock()
			calls = append(calls, name)
			if name == "nonesuch" {
				return errors.New("there is no such")
			}
			return nil
		},
		SetCongestion: func(net.Conn, string) error {
			t.Error("SetCongestion is called beside ChooseCongestion")
			return nil
		},
	}
	port := startServer(t, s)
	seen := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
	for _, name := range []string{"reno?L=1", "", "nonesuch"} {
		c := localClient(port)
		c.Congestion = name
		if _, err := c.Run(testContext(t)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	want := []string{"reno?L=1", "", "nonesuch"}
	testutil.Eventually(t, controlWait, func() bool { return len(seen()) >= len(want) }, "the server to be told")
	if got := seen(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
