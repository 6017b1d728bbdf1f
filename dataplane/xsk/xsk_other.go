//go:build !linux

package xsk

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// Port is an AF_XDP socket, which only Linux has: there are no values of it here.
type Port struct{}

var _ dataplane.Port = (*Port)(nil)

// Open fails: AF_XDP is Linux's.
func Open(cfg Config) (*Port, error) {
	return nil, fmt.Errorf("xsk: open %s: AF_XDP needs Linux: %w", cfg.IfName, errors.ErrUnsupported)
}

// The methods of dataplane.Port and of the Linux type. No Port exists to call them on.

func (*Port) Recv([]dataplane.Frame) int  { return 0 }
func (*Port) Free([]dataplane.Frame)      {}
func (*Port) Alloc([]dataplane.Frame) int { return 0 }
func (*Port) Send([]dataplane.Frame)      {}
func (*Port) Cancel([]dataplane.Frame)    {}
func (*Port) Flush()                      {}
func (*Port) Wait(time.Duration) error    { return errors.ErrUnsupported }
func (*Port) Wake()                       {}
func (*Port) Info() dataplane.Info        { return dataplane.Info{} }
func (*Port) Stats() dataplane.Stats      { return dataplane.Stats{} }
func (*Port) KernelStats() KernelStats    { return KernelStats{} }
func (*Port) Close() error                { return errors.ErrUnsupported }
func (*Port) Memory() (int, Pages)        { return 0, PagesSmall }
func (*Port) FD() int                     { return -1 }
func (*Port) ZeroCopy() bool              { return false }
func (*Port) Declined() error             { return nil }
func (*Port) Err() error                  { return errors.ErrUnsupported }
