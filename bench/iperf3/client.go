package iperf3

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"
)

// Client is one test, as the side that asks for it. Dial and Host are needed; everything
// else may be zero.
type Client struct {
	// Dial opens the control connection and the data connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Info tells about a connection what its transport knows; nil means nothing.
	Info func(net.Conn) (Info, bool)

	Host string
	Port int // 0: DefaultPort

	Time      time.Duration // whole seconds; 0: 10 s, unless Bytes or Blocks is set
	Bytes     int64         // end after so many octets and not after Time
	Blocks    int64         // end after so many blocks
	BlockSize int           // octets a write; 0: DefaultBlockSize
	Parallel  int           // data connections a direction; 0: 1
	Reverse   bool          // the server sends
	Bidir     bool          // both send
	Omit      time.Duration // whole seconds at the start that do not count
	Interval  time.Duration // between reports; 0: none
	Window    int           // socket buffers in octets, where the transport has such; 0: as it likes
	Bandwidth uint64        // bits a second a stream; 0: unlimited
	NoDelay   bool
	// Congestion is a congestion control that the server is asked to use.
	Congestion string
	Title      string

	Out  io.Writer // the report; nil: none
	JSON bool      // Out gets one JSON object at the end, instead of text
}

// ErrBusy is what a server says that runs a test for somebody else.
var ErrBusy = errors.New("iperf3: the server is busy running a test, try again later")

// params is what the client asks for.
func (c *Client) params() (params, error) {
	p := params{
		TCP: true, Omit: int(c.Omit / time.Second), Time: int(c.Time / time.Second),
		Num: c.Bytes, Blocks: c.Blocks, NoDelay: c.NoDelay, Parallel: max(c.Parallel, 1),
		Reverse: c.Reverse, Bidirectional: c.Bidir, Window: c.Window, Len: c.BlockSize,
		Bandwidth: c.Bandwidth, Congestion: c.Congestion, Title: c.Title,
		PacingTimer: 1000, ClientVersion: strings.TrimPrefix(Version, "iperf "),
	}
	if p.Len == 0 {
		p.Len = DefaultBlockSize
	}
	if c.Time == 0 && !p.bounded() {
		p.Time = 10
	}
	if c.Time != 0 && p.bounded() || c.Bytes != 0 && c.Blocks != 0 {
		return p, errors.New("iperf3: only one of time, octets and blocks may end a test")
	}
	if c.Time%time.Second != 0 || c.Omit%time.Second != 0 {
		return p, errors.New("iperf3: the protocol knows whole seconds only")
	}
	return p, p.check()
}

// Check says whether the test can be asked for, without doing so.
func (c *Client) Check() error {
	_, err := c.params()
	return err
}

// Run runs the test. When ctx ends it stops early, tells the server, and returns the
// report of what there is with an error that wraps the cause.
func (c *Client) Run(ctx context.Context) (*Report, error) {
	t := &clientTest{Client: c, report: newReport(false)}
	err := t.prepare(ctx)
	if err == nil {
		err = t.converse(ctx)
	}
	if t.run != nil {
		t.run.close()
	}
	if t.ctl.Conn != nil {
		_ = t.ctl.Close()
	}
	if err != nil {
		t.report.Error = strings.TrimPrefix(err.Error(), "iperf3: ")
	}
	if c.JSON && c.Out != nil {
		if werr := t.report.WriteJSON(c.Out); err == nil {
			err = werr
		}
	}
	return t.report, err
}
