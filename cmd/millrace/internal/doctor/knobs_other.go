//go:build !linux

package doctor

import (
	"errors"

	"github.com/millrace-tcp/millrace/loader"
)

func kernelVersion() version { return version{release: "not Linux"} }

func openSocket() error { return errors.ErrUnsupported }

func readInt(string) int { return -1 }

func readKnobs(loader.NICInfo) knobs { return knobs{deferIRQs: -1, groTimeout: -1} }
