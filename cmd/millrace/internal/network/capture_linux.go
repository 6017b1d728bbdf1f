package network

import (
	"errors"
	"fmt"
	"os"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pcap"
)

// capture writes what crosses the ports of a NIC. Methods work on nil, which captures
// nothing. It is used by one goroutine.
type capture struct {
	path  string
	files []*os.File
	err   error
}

// wrap captures the port of a queue: queue 0 to the file itself, queue n to FILE.n, for
// what one file holds is one interface. A port that cannot be captured is left as it is.
func (c *capture) wrap(queue int, p dataplane.Port) dataplane.Port {
	path := c.path
	if queue > 0 {
		path = fmt.Sprintf("%s.%d", path, queue)
	}
	f, err := os.Create(path)
	if err != nil {
		c.err = errors.Join(c.err, fmt.Errorf("network: capture: %w", err))
		return p
	}
	c.files = append(c.files, f)
	port, err := pcap.New(p, f, pcap.Config{})
	if err != nil {
		c.err = errors.Join(c.err, err)
		return p
	}
	return port
}

// failure says why not every port is captured.
func (c *capture) failure() error {
	if c == nil {
		return nil
	}
	return c.err
}

// close closes the files, after the ports.
func (c *capture) close() error {
	if c == nil {
		return nil
	}
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}
