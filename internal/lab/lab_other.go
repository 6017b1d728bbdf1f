//go:build !linux

package lab

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
)

var errUnsupported = fmt.Errorf("network namespaces need Linux, this is %s: %w",
	runtime.GOOS, errors.ErrUnsupported)

func up(*Lab) error { return errUnsupported }

func find(*Lab) error { return errUnsupported }

func list() ([]string, error) { return nil, errUnsupported }

func bringBack(*Lab) error { return nil }

func down(string) error { return errUnsupported }

func enter(string) error { return errUnsupported }

func onMainThread() bool { return false }

func setSysctl(string, string) error { return errUnsupported }

func checkCommand(*exec.Cmd) error { return nil }
