package testbed

import (
	"strings"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/loader"
)

// variant is what the name of one of millrace's stacks says.
type variant struct{ both, handler, inPlace, native, generic, zeroCopy bool }

func variantOf(stack string) variant {
	has := func(word string) bool { return strings.Contains(stack+"-", "-"+word+"-") }
	return variant{
		both: has("both"), handler: has("handler"), inPlace: has("in-place"),
		native: has("native"), generic: has("generic"), zeroCopy: has("zerocopy"),
	}
}

// serve is the flag that says how an end of millrace serves.
func (v variant) serve() []string {
	switch {
	case v.handler:
		return []string{"--serve", "handlers"}
	case v.inPlace:
		return []string{"--serve", "in-place"}
	}
	return nil
}

// mode is how a stack opens a NIC.
func (b *Bed) mode(stack string) millrace.Mode {
	switch v := variantOf(stack); {
	case v.native:
		return millrace.ModeCopy
	case v.generic:
		return millrace.ModeGeneric
	case v.zeroCopy:
		return millrace.ModeZeroCopy
	}
	return b.cfg.Mode
}

// flags are those of an end that opens a NIC.
func (b *Bed) flags(stack string) []string {
	return append([]string{"--mode", b.mode(stack).String()}, b.cfg.Flags...)
}

// xdpMode is where the program of a stack is attached that is not ours: where millrace would
// have its own.
func (b *Bed) xdpMode(stack string, h *lab.Host) (mode loader.Mode, err error) {
	switch b.mode(stack) {
	case millrace.ModeGeneric:
		return loader.Generic, nil
	case millrace.ModeCopy, millrace.ModeZeroCopy:
		return loader.Native, nil
	case millrace.ModeAuto:
	}
	err = h.Do(func() error {
		nic, err := loader.Probe(h.Interface)
		mode = loader.Native
		if nic.Choose().Mode == loader.Generic {
			mode = loader.Generic
		}
		return err
	})
	return mode, err
}
