package trace

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Capture writes packets in virtual time as pcapng, an interface for each host. (On a NIC
// package dataplane/pcap does it, beside the worker.)
type Capture struct {
	ng  *pcapgo.NgWriter
	err error
}

// NewCapture begins a capture of hosts by these names.
func NewCapture(w io.Writer, hosts ...string) (*Capture, error) {
	c := new(Capture)
	for i, name := range hosts {
		intf := pcapgo.NgInterface{Name: name, LinkType: layers.LinkTypeEthernet, TimestampResolution: 9, OS: runtime.GOOS}
		var err error
		if i == 0 {
			c.ng, err = pcapgo.NewNgWriterInterface(w, intf, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
				Application: "millrace sim", Comment: "virtual time, from 1970-01-01",
			}})
		} else {
			_, err = c.ng.AddInterface(intf)
		}
		if err != nil {
			return nil, fmt.Errorf("trace: begin capture: %w", err)
		}
	}
	return c, nil
}

// Packet writes a frame that host sends. What goes wrong is found by Close.
func (c *Capture) Packet(at time.Duration, host int, frame []byte) {
	if c.err != nil {
		return
	}
	c.err = c.ng.WritePacket(gopacket.CaptureInfo{
		Timestamp: time.Unix(0, int64(at)), CaptureLength: len(frame), Length: len(frame), InterfaceIndex: host,
	}, frame)
}

// Close ends the capture. The writer below stays open.
func (c *Capture) Close() error {
	if c.err == nil {
		c.err = c.ng.Flush()
	}
	if c.err != nil {
		return fmt.Errorf("trace: write capture: %w", c.err)
	}
	return nil
}
