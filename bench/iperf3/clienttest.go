package iperf3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"time"
)

// clientTest is a test under way.
type clientTest struct {
	*Client
	p      params
	cookie cookie
	ctl    control
	run    *run
	text   *textReport // nil unless text is wanted
	report *Report
}

func (t *clientTest) address() string {
	port := t.Port
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(port))
}

// prepare opens the control connection and sends the cookie.
func (t *clientTest) prepare(ctx context.Context) (err error) {
	if t.p, err = t.params(); err != nil {
		return err
	}
	t.cookie = newCookie()
	t.report.Start.Cookie = t.cookie.String()
	conn, err := t.Dial(ctx, "tcp", t.address())
	if err != nil {
		return fmt.Errorf("iperf3: connect to server: %w", err)
	}
	t.ctl = control{conn}
	host, port := hostPort(conn.RemoteAddr())
	t.report.Start.ConnectingTo = &Host{t.Host, port}
	if t.Out != nil && !t.JSON {
		t.text = &textReport{w: t.Out, bidir: t.Bidir}
		t.text.printf("Connecting to host %s, port %d\n", t.Host, port)
		if t.Reverse {
			t.text.printf("Reverse mode, remote host %s is sending\n", host)
		}
	}
	setNoDelay(conn)
	if _, err := conn.Write(t.cookie[:]); err != nil {
		return fmt.Errorf("iperf3: send cookie: %w", err)
	}
	return nil
}

// setNoDelay turns Nagle's algorithm off where the transport has it.
func setNoDelay(c net.Conn) {
	if c, ok := c.(interface{ SetNoDelay(bool) error }); ok {
		_ = c.SetNoDelay(true) // it is only slower without
	}
}

// setWindow sets the socket buffers where the transport has them.
func setWindow(c net.Conn, octets int) {
	if c, ok := c.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok && octets > 0 {
		_ = c.SetReadBuffer(octets) // a wish, as -w of iperf3 is
		_ = c.SetWriteBuffer(octets)
	}
}

// message is what the control connection brought.
type message struct {
	state state
	err   error
}

// listen reads the next state in the background. It is called again when the reader's
// turn comes, so that the objects that follow a state are read by who handles it.
func (c control) listen() <-chan message {
	ch := make(chan message, 1)
	go func() {
		s, err := c.readState()
		ch <- message{s, err}
	}()
	return ch
}

// converse follows the server's states until the test is over.
func (t *clientTest) converse(ctx context.Context) error {
	next := t.ctl.listen()
	for {
		var m message
		select {
		case m = <-next:
		case <-ctx.Done():
			return t.terminate(ctx)
		}
		if m.err != nil {
			return controlError(m.err, "server")
		}
		done, err := t.handle(ctx, m.state)
		if done || err != nil {
			return err
		}
		next = t.ctl.listen()
		if m.state == stateTestRunning {
			if err := t.transfer(ctx, next); err != nil {
				return err
			}
		}
	}
}

// controlError says that the other end left.
func controlError(err error, who string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("iperf3: the %s has closed the control connection", who)
	}
	return fmt.Errorf("iperf3: control connection: %w", err)
}

// handle does what a state of the server asks for.
func (t *clientTest) handle(ctx context.Context, s state) (done bool, err error) {
	switch s {
	case stateParamExchange:
		err = t.ctl.sendJSON(t.p)
	case stateCreateStreams:
		err = t.createStreams(ctx)
	case stateTestStart, stateTestRunning:
		if t.run == nil {
			err = fmt.Errorf("iperf3: server sends %v before CREATE_STREAMS", s)
		}
	case stateExchangeResults:
		err = t.exchange()
	case stateDisplayResults:
		return true, t.ctl.sendState(stateDone)
	case stateAccessDenied:
		err = ErrBusy
	case stateServerError:
		err = t.ctl.readError()
	case stateServerTerminate:
		t.finish(results{})
		err = errors.New("iperf3: the server has terminated")
	default:
		err = fmt.Errorf("iperf3: server sends %v where it means nothing", s)
	}
	return false, err
}

// createStreams opens the data connections, one after the other, for their order is how
// both ends number them.
func (t *clientTest) createStreams(ctx context.Context) error {
	if t.run != nil {
		return errors.New("iperf3: server sends CREATE_STREAMS twice")
	}
	n := t.p.Parallel
	if t.p.Bidirectional {
		n *= 2
	}
	var conns []net.Conn
	fail := func(err error) error {
		for _, c := range conns {
			_ = c.Close()
		}
		return fmt.Errorf("iperf3: open stream %d of %d: %w", len(conns)+1, n, err)
	}
	for range n {
		c, err := t.Dial(ctx, "tcp", t.address())
		if err != nil {
			return fail(err)
		}
		setWindow(c, t.Window)
		if t.NoDelay {
			setNoDelay(c)
		}
		if _, err := c.Write(t.cookie[:]); err != nil {
			_ = c.Close()
			return fail(err)
		}
		conns = append(conns, c)
	}
	// Of a test of both directions, the first half is what the client sends on.
	t.run = newRun(t.p, conns, func(i int) bool { return !t.p.Reverse && i < t.p.Parallel })
	t.run.every, t.run.info = t.Interval, t.Info
	if t.p.bounded() {
		t.run.limit(t.p.total())
	}
	if t.text != nil {
		t.text.connected(t.run.streams)
		t.run.report = t.text.interval
	}
	t.report.begin(t.run, t.cookie)
	return nil
}

// transfer runs the data and ends it. The next state is not due before that; one that
// comes all the same ends the test, and is put back for converse.
func (t *clientTest) transfer(ctx context.Context, next <-chan message) error {
	r := t.run
	if r.halted() {
		return errors.New("iperf3: server sends TEST_RUNNING twice")
	}
	limit := time.Duration(math.MaxInt64)
	var sent, received <-chan struct{}
	switch {
	case !t.p.bounded():
		limit = time.Duration(t.p.Time+t.p.Omit) * time.Second
	case t.p.Reverse:
		received = r.received
	default:
		sent = r.sent
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	r.begin()
	select {
	case <-timer.C:
	case <-sent:
	case <-received:
	case err := <-r.failed:
		r.stop(0)
		return t.diagnose(err, next)
	case m := <-next:
		r.stop(0)
		if m.err != nil {
			return controlError(m.err, "server")
		}
		if _, err := t.handle(ctx, m.state); err != nil {
			return err
		}
		return fmt.Errorf("iperf3: server sends %v while the test runs", m.state)
	case <-ctx.Done():
		r.stop(0)
		return t.terminate(ctx)
	}
	// The server stops its clock at TEST_END, so that goes first; then the senders may
	// end their blocks.
	r.finish()
	if err := t.ctl.SetReadDeadline(time.Now().Add(endWait)); err != nil {
		return err
	}
	err := t.ctl.sendState(stateTestEnd)
	r.stop(blockGrace)
	return err
}

// blockGrace is how long the last block of a stream may take. See run.take for why it
// matters; on a link too slow for it the block is cut, and iperf3 waits.
const blockGrace = 500 * time.Millisecond

// endWait is how long the server may take to answer TEST_END. It may have full buffers of
// StreamsMax connections to look at first.
const endWait = 30 * time.Second

// diagnoseMax is how long a broken data connection waits for the reason on the control
// connection, which is on its way if the other end broke it.
const diagnoseMax = time.Second

// diagnose finds out why a data connection broke.
func (t *clientTest) diagnose(err error, next <-chan message) error {
	patience := time.NewTimer(diagnoseMax)
	defer patience.Stop()
	select {
	case m := <-next:
		if m.err != nil {
			return controlError(m.err, "server")
		}
		if _, herr := t.handle(context.Background(), m.state); herr != nil {
			return herr
		}
	case <-patience.C:
	}
	return err
}

// exchange tells the results and learns those of the server.
func (t *clientTest) exchange() error {
	if t.run == nil || !t.run.halted() {
		return errors.New("iperf3: server sends EXCHANGE_RESULTS before the end")
	}
	if err := t.ctl.sendJSON(t.run.results()); err != nil {
		return fmt.Errorf("iperf3: send results: %w", err)
	}
	var peer results
	if err := t.ctl.readJSON(&peer, resultsMax); err != nil {
		return fmt.Errorf("iperf3: receive results: %w", err)
	}
	t.finish(peer)
	if t.text != nil {
		t.text.printf("\niperf Done.\n")
	}
	return nil
}

// finish makes the report of a run that has stopped.
func (t *clientTest) finish(peer results) {
	if t.run == nil || !t.run.halted() {
		return
	}
	t.report.finish(t.run, peer)
	if t.text != nil {
		t.text.summary(t.report.End.Streams)
	}
}

// terminate ends a test because the user wants it so.
func (t *clientTest) terminate(ctx context.Context) error {
	_ = t.ctl.sendState(stateClientTerminate) // the server notices the end anyway
	t.finish(results{})
	return fmt.Errorf("iperf3: test ended early: %w", context.Cause(ctx))
}
