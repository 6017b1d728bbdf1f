package loader

import (
	"fmt"
	"os"
	"strings"
)

// knob is a setting that is open.
type knob interface {
	value() (string, error)
	set(value string) error
	close() error
}

// fileKnob is a file of the kernel's.
type fileKnob struct{ *os.File }

func (k fileKnob) value() (string, error) {
	var b [4096]byte // the kernel's files of one value are no longer
	n, err := k.ReadAt(b[:], 0)
	if n == 0 && err != nil {
		return "", fmt.Errorf("read %s: %w", k.Name(), err)
	}
	return strings.TrimSpace(string(b[:n])), nil
}

func (k fileKnob) set(value string) error {
	_, err := k.WriteAt([]byte(value), 0)
	return err
}

func (k fileKnob) close() error { return k.Close() }

// tableKnob is the indirection table of an interface's RSS.
type tableKnob struct {
	sockets sockets
	index   int
}

func openTable(ifindex int) (knob, error) {
	s, err := openSockets()
	if err != nil {
		return nil, err
	}
	return tableKnob{s, ifindex}, nil
}

func (k tableKnob) value() (string, error) {
	s, err := k.sockets.spread(k.index)
	return formatTable(s.Table), err
}

func (k tableKnob) set(value string) error {
	table, err := parseTable(value)
	if err != nil {
		return err
	}
	return k.sockets.setTable(k.index, table)
}

func (k tableKnob) close() error {
	k.sockets.close()
	return nil
}
