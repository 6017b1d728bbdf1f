//go:build !linux

package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
)

// errOS wraps errors.ErrUnsupported.
func errOS() error {
	return fmt.Errorf("loader: XDP needs Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Program is an XDP program on a NIC, which only Linux has.
type Program struct{}

// Attach returns an error that wraps errors.ErrUnsupported, as all of this file does.
func Attach(ifindex int, cfg Config) (*Program, error) { return nil, errOS() }

// Probe needs Linux.
func Probe(name string) (NICInfo, error) { return NICInfo{}, errOS() }

// Verify fails.
func Verify() error { return errOS() }

// MissingCapabilities returns nothing: no capability would help.
func MissingCapabilities() []string { return nil }

// SettingsDir is for Linux.
const SettingsDir = ""

// Tuning is settings that were changed, of which there are none.
type Tuning struct{}

// Tune needs Linux.
func Tune(dir string, nic NICInfo, want []Setting) (*Tuning, error) { return nil, errOS() }

// Changes returns nothing.
func (t *Tuning) Changes() []Change { return nil }

// Close does nothing.
func (t *Tuning) Close() error { return nil }

// Changes returns nothing.
func Changes(dir string, nic NICInfo) (changes []Change, running bool, err error) {
	return nil, false, nil
}

// Mode needs Linux, as do the methods below.
func (p *Program) Mode() Mode { return Auto }

// Notes needs Linux.
func (p *Program) Notes() []string { return nil }

// Register needs Linux.
func (p *Program) Register(queue int, xskFD int) error { return errOS() }

// Unregister needs Linux.
func (p *Program) Unregister(queue int) error { return errOS() }

// ClaimListen needs Linux.
func (p *Program) ClaimListen(local netip.AddrPort) error { return errOS() }

// ReleaseListen needs Linux.
func (p *Program) ReleaseListen(local netip.AddrPort) error { return errOS() }

// ClaimFlow needs Linux.
func (p *Program) ClaimFlow(local, remote netip.AddrPort) error { return errOS() }

// ReleaseFlow needs Linux.
func (p *Program) ReleaseFlow(local, remote netip.AddrPort) error { return errOS() }

// SetLocalAddrs needs Linux.
func (p *Program) SetLocalAddrs(addrs []netip.Addr) error { return errOS() }

// Counters needs Linux.
func (p *Program) Counters() Counters { return Counters{} }

// Close needs Linux.
func (p *Program) Close() error { return errOS() }
