//go:build !linux

package usage

import (
	"errors"
	"fmt"
	"runtime"
)

var errUnsupported = fmt.Errorf("usage: reading needs Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)

// ReadMachine says that it cannot.
func ReadMachine() (Machine, error) { return Machine{}, errUnsupported }

// MemoryAvailable says that it cannot.
func MemoryAvailable() (int64, error) { return 0, errUnsupported }

func times() (Process, error) { return Process{}, errUnsupported }

func resident() (int64, error) { return 0, errUnsupported }
