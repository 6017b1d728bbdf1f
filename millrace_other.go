//go:build !linux

package millrace

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/stack"
)

// NIC is an open interface. There is none on this system.
type NIC struct{ *stack.Stack }

// Open needs Linux.
func Open(nic string, cfg Config) (*NIC, error) {
	return nil, fmt.Errorf("millrace: open %s: AF_XDP needs Linux, this is %s: %w",
		nic, runtime.GOOS, errors.ErrUnsupported)
}

// Info says nothing.
func (n *NIC) Info() Info { return Info{} }

// Counters counts nothing.
func (n *NIC) Counters() loader.Counters { return loader.Counters{} }

// PortStats counts nothing.
func (n *NIC) PortStats() []dataplane.Stats { return nil }

// Gone is nil: nothing is waited for.
func (n *NIC) Gone() <-chan struct{} { return nil }

// Err says nothing.
func (n *NIC) Err() error { return nil }

// Close has nothing to do.
func (n *NIC) Close() error { return nil }
