package iperf3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// session is one test, as the server sees it. One goroutine serves it.
type session struct {
	srv    *Server
	ctl    control
	cookie cookie
	p      params
	run    *run
	text   *textReport // nil unless text is wanted, here or by the client
	copied bytes.Buffer
	report *Report
	chosen bool          // the client's congestion control is that of all
	over   chan struct{} // closed when the server is free again

	// What follows is guarded by srv.mu.
	creating  bool          // data connections are wanted
	finishing bool          // nothing but IPERF_DONE is still to come
	arrivals  chan newcomer // data connections, the room for all of them
}

func newSession(s *Server, c newcomer, ck cookie) *session {
	return &session{
		srv: s, ctl: control{c.Conn}, cookie: ck, report: newReport(true),
		over: make(chan struct{}), arrivals: make(chan newcomer, 2*StreamsMax),
	}
}

// serve runs the test from the parameters to the end.
func (t *session) serve(ctx context.Context) error {
	err := t.phases(ctx)
	if t.run != nil {
		t.run.close()
	}
	if t.chosen {
		_ = t.srv.ChooseCongestion("") // the default is never refused
	}
	t.srv.mu.Lock()
	t.creating = false
	t.srv.mu.Unlock()
	for len(t.arrivals) > 0 {
		_ = (<-t.arrivals).Close()
	}
	_ = t.ctl.Close()
	if err != nil {
		t.report.Error = strings.TrimPrefix(err.Error(), "iperf3: ")
	}
	if t.srv.JSON && t.srv.Out != nil {
		if werr := t.report.WriteJSON(t.srv.Out); err == nil {
			err = werr
		}
	}
	return err
}

func (t *session) phases(ctx context.Context) error {
	setNoDelay(t.ctl.Conn)
	if c, ok := t.ctl.Conn.(interface{ SetKeepAlive(bool) error }); ok {
		_ = c.SetKeepAlive(true) // the quiet limit ends a test without it too
	}
	host, port := hostPort(t.ctl.RemoteAddr())
	t.report.Start.Accepted = &Host{host, port}
	if err := t.negotiate(); err != nil {
		return err
	}
	if t.text != nil {
		t.text.printf("Accepted connection from %s, port %d\n", host, port)
	}
	next := t.ctl.listen()
	if err := t.gather(ctx, next); err != nil {
		return err
	}
	for _, s := range []state{stateTestStart, stateTestRunning} {
		if err := t.ctl.sendState(s); err != nil {
			return err
		}
	}
	if err := t.transfer(ctx, next); err != nil {
		return err
	}
	return t.conclude()
}

// negotiate learns what the client wants and tells it if that cannot be.
func (t *session) negotiate() error {
	if err := t.ctl.sendState(stateParamExchange); err != nil {
		return err
	}
	if err := t.ctl.readJSON(&t.p, paramsMax); err != nil {
		_ = t.ctl.sendError(codeBadParams)
		return fmt.Errorf("iperf3: receive parameters: %w", err)
	}
	if err := t.p.check(); err != nil {
		var r *refusal
		if errors.As(err, &r) {
			_ = t.ctl.sendError(r.code)
		}
		return err
	}
	out := io.Discard
	if t.srv.Out != nil && !t.srv.JSON {
		out = t.srv.Out
	}
	if t.p.ServerOutput != 0 {
		out = io.MultiWriter(out, &t.copied)
	}
	if out != io.Discard {
		t.text = &textReport{w: out, server: true, bidir: t.p.Bidirectional}
	}
	t.choose()
	t.srv.mu.Lock()
	t.creating = true
	t.srv.mu.Unlock()
	return t.ctl.sendState(stateCreateStreams)
}

// choose has the data connections open with the congestion control that the client wants.
func (t *session) choose() {
	if t.p.Congestion == "" || t.srv.ChooseCongestion == nil {
		return
	}
	if err := t.srv.ChooseCongestion(t.p.Congestion); err != nil {
		t.refused(err)
		return
	}
	t.chosen = true
}

// refused says that the test goes on with another congestion control.
func (t *session) refused(err error) {
	t.srv.log().Warn("congestion control not set", "name", t.p.Congestion, "cause", err)
}

// gather collects the data connections, in the order in which the client opened them.
func (t *session) gather(ctx context.Context, next <-chan message) error {
	want := t.p.Parallel
	if t.p.Bidirectional {
		want *= 2
	}
	patience := time.NewTimer(controlWait)
	defer patience.Stop()
	var came []newcomer
	fail := func(err error) error {
		for _, c := range came {
			_ = c.Close()
		}
		return err
	}
	for len(came) < want {
		select {
		case c := <-t.arrivals:
			came = append(came, c)
		case m := <-next:
			return fail(t.interrupted(m))
		case <-patience.C:
			return fail(fmt.Errorf("iperf3: %d of %d streams came", len(came), want))
		case <-ctx.Done():
			_ = t.ctl.sendState(stateServerTerminate)
			return fail(ctx.Err())
		}
	}
	t.srv.mu.Lock()
	t.creating = false
	t.srv.mu.Unlock()
	slices.SortFunc(came, func(a, b newcomer) int { return cmp.Compare(a.order, b.order) })
	conns := make([]net.Conn, len(came))
	for i, c := range came {
		conns[i] = c.Conn
		t.tune(c.Conn)
	}
	// Of a test of both directions, the first half is what the client sends on.
	t.run = newRun(t.p, conns, func(i int) bool { return t.p.Reverse || i >= t.p.Parallel })
	t.run.every, t.run.info = t.srv.Interval, t.srv.Info
	if t.text != nil {
		t.text.connected(t.run.streams)
		t.run.report = t.text.interval
	}
	t.report.begin(t.run, t.cookie)
	return nil
}

// tune applies what the client wants of a data connection.
func (t *session) tune(c net.Conn) {
	setWindow(c, t.p.Window)
	if t.p.NoDelay {
		setNoDelay(c)
	}
	if t.p.Congestion == "" || t.srv.SetCongestion == nil || t.srv.ChooseCongestion != nil {
		return
	}
	if err := t.srv.SetCongestion(c, t.p.Congestion); err != nil {
		t.refused(err)
	}
}

// interrupted says what a message means that comes before the end of the test.
func (t *session) interrupted(m message) error {
	if m.err != nil {
		return controlError(m.err, "client")
	}
	if m.state == stateClientTerminate {
		return errors.New("iperf3: the client has terminated")
	}
	return fmt.Errorf("iperf3: client sends %v where it means nothing", m.state)
}

// transfer runs the data until the client says that it is over.
func (t *session) transfer(ctx context.Context, next <-chan message) error {
	t.run.begin()
	var broken <-chan time.Time // runs after a stream broke
	var cause error
	last, lastChange := int64(-1), time.Now()
	// A quarter of the limit, so that the test of a vanished client ends soon after it.
	look := time.NewTicker(max(t.srv.quietMax()/4, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case m := <-next:
			t.run.stop(0)
			if m.err == nil && m.state == stateTestEnd {
				t.run.closeWrite()
				return nil
			}
			t.finish(results{})
			return t.interrupted(m)
		case cause = <-t.run.failed:
			// The client may have said on the control connection why.
			broken = time.After(diagnoseMax)
		case <-broken:
			t.run.stop(0)
			return cause
		case now := <-look.C:
			if n := t.run.octets(); n != last {
				last, lastChange = n, now
			} else if now.Sub(lastChange) >= t.srv.quietMax() {
				t.run.stop(0)
				_ = t.ctl.sendError(codeNoProgress)
				return fmt.Errorf("iperf3: nothing moved for %v", t.srv.quietMax())
			}
		case <-ctx.Done():
			t.terminate(next)
			return fmt.Errorf("iperf3: the server has terminated: %w", context.Cause(ctx))
		}
	}
}

// terminate ends a test because the user of the server wants it so. The client is told
// and then left the time to go, or it would see a broken stream before it sees why.
func (t *session) terminate(next <-chan message) {
	err := t.ctl.sendState(stateServerTerminate)
	t.run.stop(0)
	t.finish(results{})
	if err != nil {
		return
	}
	patience := time.NewTimer(diagnoseMax)
	defer patience.Stop()
	select {
	case <-next:
	case <-patience.C:
	}
}

// conclude exchanges the results.
func (t *session) conclude() error {
	if err := t.ctl.sendState(stateExchangeResults); err != nil {
		return err
	}
	var peer results
	if err := t.ctl.readJSON(&peer, resultsMax); err != nil {
		return fmt.Errorf("iperf3: receive results: %w", err)
	}
	if t.p.bounded() {
		t.run.settle(peer)
	}
	t.finish(peer)
	mine := t.run.results()
	mine.ServerText = t.copied.String()
	if err := t.ctl.sendJSON(mine); err != nil {
		return fmt.Errorf("iperf3: send results: %w", err)
	}
	t.srv.mu.Lock()
	t.finishing = true
	t.srv.mu.Unlock()
	if err := t.ctl.sendState(stateDisplayResults); err != nil {
		return err
	}
	if err := t.ctl.SetReadDeadline(time.Now().Add(controlWait)); err != nil {
		return err
	}
	// Both have all they need; a client that just closes has done no harm.
	if s, err := t.ctl.readState(); err == nil && s != stateDone {
		return fmt.Errorf("iperf3: client sends %v, want IPERF_DONE", s)
	}
	return nil
}

// finish makes the report of a run that has stopped.
func (t *session) finish(peer results) {
	t.report.finish(t.run, peer)
	if t.text != nil {
		t.text.summary(t.report.End.Streams)
	}
}
