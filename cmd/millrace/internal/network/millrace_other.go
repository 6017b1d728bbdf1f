//go:build !linux

package network

import (
	"errors"
	"fmt"
	"runtime"
)

// Open says that it cannot, for only Linux has AF_XDP.
func Open(Config) (Network, error) {
	return nil, fmt.Errorf("network: AF_XDP needs Linux, this is %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
