package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/inspect"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/metrics"
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/trace"
)

var (
	_ metrics.Source = (*nic)(nil)
	_ inspect.Source = (*nic)(nil)
	_ Chooser        = (*nic)(nil)
)

// nic is millrace on a NIC.
type nic struct {
	*millrace.NIC
	congestion string // as it was opened with
	algorithms catalog.Table
	keepAlive  net.KeepAliveConfig
	chosen     atomic.Pointer[chosen]
	capture    *capture
	trace      *trace.Live // nil: nothing is recorded
}

// chosen is the congestion control of new connections.
type chosen struct {
	name string
	make catalog.Maker
}

// Open opens millrace on a NIC.
func Open(cfg Config) (Network, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	mc := millrace.Config{Queues: cfg.Queues, Pin: cfg.Pin, BusyPoll: cfg.BusyPoll, KeepSettings: cfg.KeepSettings, SteerFlows: cfg.SteerFlows, Log: cfg.Log}
	mc.Stack.Spin = cfg.Spin
	if cfg.Mode != "" {
		mode, err := millrace.ParseMode(cfg.Mode)
		if err != nil {
			return nil, err
		}
		mc.Mode = mode
	}
	if cfg.ECN != "" {
		ecn, err := tcp.ParseECNMode(cfg.ECN)
		if err != nil {
			return nil, err
		}
		mc.Stack.TCP.ECN = ecn
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = catalog.All()
	}
	mc.Algorithms = cfg.Algorithms
	n := &nic{congestion: cfg.Congestion, algorithms: cfg.Algorithms, keepAlive: cfg.KeepAlive}
	if err := n.ChooseCongestion(""); err != nil {
		return nil, err
	}
	mc.Stack.Congestion = func() congestion.Algorithm { return n.chosen.Load().make() }
	if cfg.PCAP != "" {
		n.capture = &capture{path: cfg.PCAP}
		mc.WrapPort = n.capture.wrap
	}
	var err error
	if cfg.Trace != "" {
		if n.trace, err = trace.NewLive(cfg.Trace); err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		mc.Stack.Recorder = n.trace.Recorder
	}
	if n.NIC, err = millrace.Open(cfg.NIC, mc); err == nil {
		err = n.capture.failure()
	}
	if err != nil {
		if n.NIC != nil {
			_ = n.NIC.Close()
		}
		_ = n.closeFiles()
		return nil, err
	}
	cfg.Log.Info("opened", "nic", n.NIC.Info().String())
	for _, note := range n.NIC.Info().Notes {
		cfg.Log.Info("note", "nic", cfg.NIC, "note", note)
	}
	return n, nil
}

// Collectors makes it a metrics.Source.
func (n *nic) Collectors() []prometheus.Collector {
	return []prometheus.Collector{metrics.NewNIC(n.NIC)}
}

// Instance makes it a inspect.Source.
func (n *nic) Instance() inspect.Instance {
	info := n.NIC.Info()
	i := inspect.Instance{
		NIC: inspect.NIC{
			Name: info.Name, Driver: info.Driver, Attached: info.Attached,
			ZeroCopy: info.ZeroCopy, Queues: len(info.ZeroCopy), MTU: info.MTU,
			FrameOctets: info.FrameOctets, FramePages: info.FramePages,
			FrameSize: info.Frames.Size, RXFrames: info.Frames.RX, TXFrames: info.Frames.TX, FrameRule: info.Frames.String(),
			Notes: append([]string{}, info.Notes...),
		},
		Frames:       inspect.Frames{KeptMax: info.Frames.KeepMax * len(info.ZeroCopy), NoSocket: n.Counters().NoSocket},
		BufferOctets: n.BufferOctets(),
		Connections:  []inspect.Connection{},
	}
	for q, s := range n.Stats() {
		i.HalfOpen += s.HalfOpen
		i.TimeWaits += s.TimeWaits
		i.Frames.KeptNow += s.FramesKeptNow
		i.Frames.Kept += s.FramesKept
		i.Frames.KeptShort += s.FramesKeptShort
		i.Frames.Spilled += s.FramesSpilled
		i.Frames.Forwarded += s.Forwarded
		if q == 0 {
			i.Listeners = s.Listeners // every queue has them all
		}
	}
	for _, c := range n.Conns() {
		i.Connections = append(i.Connections, inspect.ConnectionOf(c))
	}
	return i
}

// About says how the NIC was opened, and the congestion control.
func (n *nic) About() string { return n.NIC.Info().String() + ", " + n.chosen.Load().name }

// Listen listens on the NIC's addresses.
func (n *nic) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return stack.ListenConfig{Stack: n.Stack, KeepAliveConfig: n.keepAlive}.Listen(ctx, network, address)
}

// DialContext connects from the NIC's addresses.
func (n *nic) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return stack.Dialer{Stack: n.Stack, KeepAliveConfig: n.keepAlive}.DialContext(ctx, network, address)
}

// ListenHandler listens as Stack.ListenHandler does.
func (n *nic) ListenHandler(ctx context.Context, network, address string, open func(c *stack.HandlerConn) stack.Handler) (net.Listener, error) {
	l, err := stack.ListenConfig{Stack: n.Stack, KeepAliveConfig: n.keepAlive}.ListenHandler(ctx, network, address, open)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ChooseCongestion changes what connections begin with from now on.
func (n *nic) ChooseCongestion(spec string) error {
	if spec == "" {
		spec = n.congestion
	}
	name, maker, err := n.algorithms.Parse(spec)
	if err != nil {
		return fmt.Errorf("network: choose congestion control: %w", err)
	}
	n.chosen.Store(&chosen{name, maker})
	return nil
}

// Info returns what the stack tells about one of its connections. The name of its
// congestion control is that of those which begin now.
func (n *nic) Info(c net.Conn) (Info, bool) {
	sc, ok := c.(*stack.Conn)
	if !ok {
		return Info{}, false
	}
	i, err := sc.Info()
	if err != nil {
		return Info{}, false
	}
	return Info{
		Retransmits: int64(i.SegmentsRetransmitted), Cwnd: int64(i.Cwnd), SndWnd: int64(i.SendWindow),
		RTT: i.RTT, RTTVar: i.RTTVar, PMTU: pathMTU(i.PathMSS, c), Congestion: i.Congestion,
	}, true
}

// pathMTU is the MTU that leaves room for mss: 20 octets of TCP, and 20 of IPv4 or 40 of
// IPv6 go off it (RFC 9293, section 3.7.1).
func pathMTU(mss int, c net.Conn) int {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		return mss + 60
	}
	return mss + 40
}

const (
	// farewellMax is how long Close waits for the peers of closed connections to
	// acknowledge the end. Four times the shortest retransmission time-out that Linux
	// has, so that one lost segment is no abort.
	farewellMax = 800 * time.Millisecond
	// farewellLook is how often it looks.
	farewellLook = 2 * time.Millisecond
)

// Close waits a little for connections that their users have closed, so that what they
// wrote last arrives, aborts what is left, and gives the NIC back.
func (n *nic) Close() error {
	late := time.Now().Add(farewellMax)
	for n.leaving() && time.Now().Before(late) {
		time.Sleep(farewellLook)
	}
	return errors.Join(n.NIC.Close(), n.closeFiles())
}

// closeFiles ends the capture and the trace, after the NIC.
func (n *nic) closeFiles() error {
	err := n.capture.close()
	if n.trace != nil {
		err = errors.Join(err, n.trace.Close())
	}
	return err
}

// leaving says whether a connection's FIN, or what is before it, is not acknowledged yet.
func (n *nic) leaving() bool {
	for _, c := range n.Conns() {
		switch c.State {
		case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
			return true
		case tcp.StateClosed, tcp.StateListen, tcp.StateSynSent, tcp.StateSynReceived,
			tcp.StateEstablished, tcp.StateFinWait2, tcp.StateCloseWait, tcp.StateTimeWait:
		}
	}
	return false
}
