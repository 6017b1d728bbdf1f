package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// Where everybody is: the clients on host a, the servers on host b. Flow i comes from port
// portFirst + i.
const (
	portServer = 80
	portBoth   = 20 // of servers that connect, too
	portFirst  = 10000
)

// flow is one connection and the applications at its ends.
type flow struct {
	name   string
	index  int
	start  time.Duration
	cfg    *flowConfig
	round  int
	client *app
	server *app
	option engine.Options // of the client
	// recorder is told what happens to the client's window; nil: nobody is.
	recorder congestion.Recorder
}

// flowConfig says what a flow does.
type flowConfig struct {
	start          time.Duration
	client, server behaviour
	both           bool        // the server does not listen, but connects at the same time
	again          int         // how often it is opened again, from the same port
	tcp            *tcp.Config // of the client's side; nil is the host's
}

// hostOptions is what the hosts of a scenario are like.
type hostOptions struct {
	tcp                    tcp.Config
	recvBuffer, sendBuffer int
	noDelay                bool
	recvMax, sendMax       int           // what the buffers grow to; 0: they stay as they are
	keepIdle               time.Duration // 0: no keepalive
	userTimeout            time.Duration // 0: none
	grain                  time.Duration // it is stepped at multiples of it; 0: at any time
	mtu                    int
	txFrames               int
	txSlow                 time.Duration
	origin                 mono.Time
	known                  mono.Time // when its neighbour answers
	shrinks                mono.Time // when its MTU becomes mtuLess; 0: never
	mtuLess                int
}

// scenarioConfig is two hosts, the paths between them, and flows from a to b.
type scenarioConfig struct {
	seed     uint64
	a, b     hostOptions
	there    PathConfig // from a to b
	back     PathConfig
	v6       bool
	flows    []flowConfig
	unlikely bool // connections may fail: the paths are that bad
}

// scenario is a network at work.
type scenario struct {
	*network
	cfg   scenarioConfig
	a, b  *host
	flows []*flow
	pool  queue.Pool
	check *checker
}

// newScenario builds what cfg describes. Nothing happens before run.
func newScenario(cfg scenarioConfig) *scenario {
	s := &scenario{network: newNetwork(cfg.seed), cfg: cfg}
	addr := [2]netip.Addr{netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2")}
	if cfg.v6 {
		addr = [2]netip.Addr{netip.MustParseAddr("fd77::1"), netip.MustParseAddr("fd77::2")}
	}
	s.a = s.addHost(s.hostConfig(addr[0], &cfg.a))
	s.b = s.addHost(s.hostConfig(addr[1], &cfg.b))
	s.a.options, s.b.options = cfg.a, cfg.b
	s.join(s.a, s.b, cfg.there)
	s.join(s.b, s.a, cfg.back)
	_, err := s.b.eng.Listen(engine.ListenConfig{
		Local:    netip.AddrPortFrom(netip.Addr{}, portServer),
		Acceptor: (*acceptor)(s),
		Options:  cfg.b.options(),
	})
	if err != nil {
		s.fail("listen: %v", err)
	}
	for i, o := range []*hostOptions{&cfg.a, &cfg.b} {
		if o.shrinks > 0 {
			s.after(time.Duration(o.shrinks), func(mono.Time) { s.hosts[i].setMTU(o.mtuLess) })
		}
	}
	for i := range cfg.flows {
		s.addFlow(i, &cfg.flows[i])
	}
	s.check = newChecker(s)
	s.watch = s.check
	return s
}

// options are those of the host's connections.
func (o *hostOptions) options() engine.Options {
	return engine.Options{
		NoDelay: o.noDelay, KeepAlive: o.keepIdle > 0, KeepIdle: o.keepIdle,
		UserTimeout: o.userTimeout,
	}
}

func (s *scenario) hostConfig(addr netip.Addr, o *hostOptions) hostConfig {
	var key [16]byte
	rng := s.rand(streamKey + uint64(len(s.hosts)))
	for i := range key {
		key[i] = byte(rng.Uint32())
	}
	return hostConfig{
		addr: addr, mtu: o.mtu, txFrames: o.txFrames, txSlow: o.txSlow, origin: o.origin, known: o.known,
		grain: o.grain,
		engine: engine.Config{
			TCP: o.tcp, Key: key, Pool: &s.pool, RecvBuffer: o.recvBuffer, SendBuffer: o.sendBuffer,
			RecvMax: max(1, o.recvMax), SendMax: max(1, o.sendMax),
		},
	}
}

func (s *scenario) addFlow(i int, c *flowConfig) {
	f := &flow{name: fmt.Sprint(i), index: i, start: c.start, cfg: c, option: s.cfg.a.options()}
	f.option.TCP = c.tcp
	s.flows = append(s.flows, f)
	s.newApps(f)
	s.after(f.start, func(mono.Time) { s.open(f) })
}

// newApps gives a flow applications that have done nothing yet.
func (s *scenario) newApps(f *flow) {
	no := 2 * uint64(f.index+len(s.cfg.flows)*f.round)
	f.client = &app{
		net: s.network, host: s.a, flow: f, client: true, does: f.cfg.client,
		sends: no * 7919, reads: (no + 1) * 7919, rng: s.rand(streamApp + no),
	}
	f.server = &app{
		net: s.network, host: s.b, flow: f, does: f.cfg.server,
		sends: (no + 1) * 7919, reads: no * 7919, rng: s.rand(streamApp + no + 1),
	}
}

// open begins a round of a flow.
func (s *scenario) open(f *flow) {
	port := uint16(portFirst + f.index)
	if f.cfg.both {
		f.client.dial(netip.AddrPortFrom(s.b.addr, portBoth), port, f.option)
		f.server.dial(netip.AddrPortFrom(s.a.addr, port), portBoth, s.cfg.b.options())
		return
	}
	f.client.dial(netip.AddrPortFrom(s.b.addr, portServer), port, f.option)
	if f.round < f.cfg.again {
		s.after(time.Second, func(mono.Time) { s.openAgain(f) })
	}
}

// quiet is longer than a half-open connection lives.
const quiet = 5 * time.Minute

// openAgain begins the next round of a flow, from the same port, when this one is over: the
// other side may be in TIME-WAIT still, and gives way or not (RFC 6191).
func (s *scenario) openAgain(f *flow) {
	if !f.client.closed || !f.server.closed && f.server.conn != nil {
		s.after(time.Second, func(mono.Time) { s.openAgain(f) })
		return
	}
	pause := f.client.pauseLen()
	if f.server.conn == nil {
		pause = quiet // or it would get the connection that the client has given up
	}
	s.after(pause, func(mono.Time) {
		if f.server.conn != nil && !f.server.closed {
			s.openAgain(f) // what was half open has become a connection after all, without a client
			return
		}
		s.check.outcome(f)
		f.round++
		s.newApps(f)
		s.check.forget(f)
		s.open(f)
	})
}

// acceptor hands an accepted connection to the application of its flow.
type acceptor scenario

// Full is never so.
func (s *acceptor) Full() bool { return false }

// Accept finds the flow by the client's port.
func (s *acceptor) Accept(c *engine.Conn) {
	i := int(c.RemoteAddr().Port()) - portFirst
	if i < 0 || i >= len(s.flows) || s.flows[i].server.conn != nil {
		s.fail("accepted a connection from %v that nobody opened", c.RemoteAddr())
		return
	}
	s.flows[i].server.accept(c)
}

// ends calls f for both applications of each flow.
func (s *scenario) ends(f func(a *app)) {
	for _, fl := range s.flows {
		f(fl.client)
		f(fl.server)
	}
}

// finish ends a scenario that has run to its end, and returns the first rule broken.
func (s *scenario) finish() error {
	if s.err == nil {
		s.check.ended()
	}
	if s.err != nil {
		return fmt.Errorf("%w\n%s", s.err, s.report())
	}
	if err := s.close(); err != nil {
		return err
	}
	if n := s.pool.InUse(); n != 0 {
		return fmt.Errorf("%d octets of buffers are in use after the end", n)
	}
	return nil
}

// report describes the connections and the last packets, for a failure.
func (s *scenario) report() string {
	var b strings.Builder
	s.ends(func(a *app) { fmt.Fprintf(&b, "%s\n", a.state()) })
	b.WriteString(s.trace.String())
	return b.String()
}
