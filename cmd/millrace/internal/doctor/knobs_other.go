//go:build !linux

package doctor

import "errors"

func kernelVersion() version { return version{release: "not Linux"} }

func openSocket() error { return errors.ErrUnsupported }

func readInt(string) int { return -1 }

func readKnobs(string) knobs { return knobs{deferIRQs: -1, groTimeout: -1} }
