//go:build !linux

package testbed

import (
	"errors"

	"github.com/millrace-tcp/millrace/internal/lab"
)

func cutSegments(*target, *lab.Host) error {
	return errors.New("testbed: have a host send segment by segment: only on Linux")
}
