//go:build !linux

package pin

import "errors"

// Allowed needs Linux.
func Allowed() ([]int, error) { return nil, errors.ErrUnsupported }

// Thread needs Linux.
func Thread(int) error { return errors.ErrUnsupported }
