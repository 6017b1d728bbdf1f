//go:build !linux

package network

import (
	"errors"
	"fmt"
	"runtime"
)

// DefaultNIC says that there is none, for only Linux has AF_XDP.
func DefaultNIC() (string, error) {
	return "", fmt.Errorf("AF_XDP needs Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
