//go:build !linux

package alarm

import (
	"errors"
	"time"
)

// Alarm does not exist on this system.
type Alarm struct{}

// New says so.
func New(func()) (*Alarm, error) { return nil, errors.ErrUnsupported }

// Set does nothing.
func (*Alarm) Set(time.Duration) error { return errors.ErrUnsupported }

// Close does nothing.
func (*Alarm) Close() error { return nil }
