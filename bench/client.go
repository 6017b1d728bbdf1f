package bench

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// Client runs workloads against a Server. Its fields are set before the first Run.
type Client struct {
	// Dial connects, as net.Dialer.DialContext does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// InPlace is that of Server.
	InPlace bool

	held []net.Conn // by Hold
}

// Run runs one workload and returns what came of it. Several goroutines may run one each.
func (c *Client) Run(ctx context.Context, address string, w Workload) (Result, error) {
	if err := w.Check(); err != nil {
		return Result{}, err
	}
	var r Result
	var err error
	var p pulse
	switch w.Kind {
	case Idle:
		r, err = c.idle(ctx, address, w)
	case HTTP:
		return r, fmt.Errorf("bench: a stock client runs %s", w.Kind)
	case Connect:
		one := func(ctx context.Context) (Result, error) { return c.connects(ctx, address, w, &p) }
		r, err = p.watch(ctx, w.Longest(), func(ctx context.Context) (Result, error) { return c.flows(ctx, w, one) })
	case Exact:
		// It has all the time that it takes.
		r, err = c.flows(ctx, w, func(ctx context.Context) (Result, error) { return c.onConn(ctx, address, w, &p) })
	case Bulk, RequestResponse:
		one := func(ctx context.Context) (Result, error) { return c.onConn(ctx, address, w, &p) }
		r, err = p.watch(ctx, w.Longest(), func(ctx context.Context) (Result, error) { return c.flows(ctx, w, one) })
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// flows runs a workload on as many connections as it has, at once. One that fails ends all.
func (c *Client) flows(ctx context.Context, w Workload, run func(ctx context.Context) (Result, error)) (Result, error) {
	n := w.flows()
	if n == 1 {
		return run(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make([]Result, n)
	var all sync.WaitGroup
	for i := range parts {
		all.Go(func() {
			var err error
			if parts[i], err = run(ctx); err != nil {
				cancel(err) // the first is the cause
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	return together(parts), nil
}

// together is the result of connections that ran at once: their sum, in the time from when the
// first began to when the last ended.
func together(parts []Result) (r Result) {
	r.began = slices.MinFunc(parts, func(a, b Result) int { return a.began.Compare(b.began) }).began
	for _, p := range parts {
		r.Octets += p.Octets
		r.Count += p.Count
		r.Elapsed = max(r.Elapsed, p.began.Add(p.Elapsed).Sub(r.began))
		r.Latency.Merge(p.Latency)
	}
	return r
}

// onConn runs a workload on one connection.
func (c *Client) onConn(ctx context.Context, address string, w Workload, p *pulse) (Result, error) {
	conn, stop, err := c.open(ctx, address, w, p)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	seed, began := rand.Uint64(), time.Now()
	if err := writeRequest(conn, w, seed); err != nil {
		return Result{}, err
	}
	if w.Kind == RequestResponse {
		return messages(conn, w)
	}
	var r Result
	if w.Way == Upload {
		r, err = c.upload(conn, w, seed)
	} else {
		r, err = c.download(conn, w)
	}
	r.began, r.Elapsed = began, time.Since(began)
	return r, err
}

// open connects, and has the connection closed when ctx ends or stop is called. What moves on
// it beats p.
func (c *Client) open(ctx context.Context, address string, w Workload, p *pulse) (conn net.Conn, stop func(), err error) {
	conn, err = c.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("bench: connect: %w", err)
	}
	ended := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if w.Kind != Exact {
		err = conn.SetDeadline(time.Now().Add(w.Longest() + patience))
	}
	if err != nil {
		ended()
		_ = conn.Close()
		return nil, nil, fmt.Errorf("bench: connect: %w", err)
	}
	return moving{conn, p}, func() { ended(); _ = conn.Close() }, nil
}

func (c *Client) upload(conn net.Conn, w Workload, seed uint64) (r Result, err error) {
	sent, err := send(conn, w, seed, c.InPlace)
	if err != nil {
		return r, err
	}
	if err := closeWrite(conn); err != nil {
		return r, fmt.Errorf("bench: end upload: %w", err)
	}
	t, err := readTally(conn)
	if err != nil {
		return r, err
	}
	return concluded(w, t, sent)
}

func (c *Client) download(conn net.Conn, w Workload) (r Result, err error) {
	if w.Kind == Bulk {
		t, err := receive(conn, w, -1, c.InPlace)
		if err != nil {
			return r, err
		}
		return concluded(w, t, tally{})
	}
	t, err := receive(conn, w, w.Octets, c.InPlace)
	if err != nil {
		return r, err
	}
	sent, err := readTally(conn)
	if err != nil {
		return r, fmt.Errorf("%w, after %d of %d octets", err, t.Octets, w.Octets)
	}
	return concluded(w, t, sent)
}

// concluded compares what came with what was sent, where that is known.
func concluded(w Workload, came, sent tally) (Result, error) {
	r := Result{Octets: int64(came.Octets)}
	if w.Kind == Exact {
		r.SHA256 = hex.EncodeToString(came.Sum[:])
		if came.Octets != sent.Octets || came.Sum != sent.Sum {
			return r, fmt.Errorf("bench: %v: %d octets with SHA-256 %x came, %d with %x were sent",
				w, came.Octets, came.Sum, sent.Octets, sent.Sum)
		}
	}
	return r, nil
}

// messages sends messages on one connection for the workload's time, and for its share of the
// count.
func messages(c net.Conn, w Workload) (r Result, err error) {
	out, in := message(w.Size), make([]byte, w.Size)
	// The first finds nothing in any cache, and what it waits for the handshake may cost.
	if _, err := exchange(c, out, in); err != nil {
		return r, err
	}
	share := (w.Count + int64(w.flows()) - 1) / int64(w.flows())
	r.began = time.Now()
	for r.Elapsed < w.Time || r.Count < share && r.Elapsed < w.Longest() {
		took, err := exchange(c, out, in)
		if err != nil {
			return r, err
		}
		r.Latency.Record(took)
		r.Count++
		r.Elapsed = time.Since(r.began)
	}
	return r, nil
}

func message(size int) []byte {
	m := make([]byte, size)
	for i := range m {
		m[i] = byte(rand.Uint32())
	}
	return m
}

// exchange sends a message and waits for it to come back.
func exchange(c net.Conn, out, in []byte) (took time.Duration, err error) {
	start := time.Now()
	if _, err := c.Write(out); err != nil {
		return 0, fmt.Errorf("bench: send message: %w", err)
	}
	if _, err := io.ReadFull(c, in); err != nil {
		return 0, fmt.Errorf("bench: receive message: %w", err)
	}
	took = time.Since(start)
	if !bytes.Equal(out, in) {
		return took, fmt.Errorf("bench: a message of %d octets came back changed", len(out))
	}
	return took, nil
}

// connects opens one connection after the other for the workload's time.
func (c *Client) connects(ctx context.Context, address string, w Workload, p *pulse) (r Result, err error) {
	out, in := message(w.Size), make([]byte, w.Size)
	r.began = time.Now()
	for r.Elapsed < w.Time {
		began := time.Now()
		if err := c.connectOnce(ctx, address, w, p, out, in); err != nil {
			return r, err
		}
		r.Latency.Record(time.Since(began))
		r.Count++
		r.Elapsed = time.Since(r.began)
	}
	return r, nil
}

func (c *Client) connectOnce(ctx context.Context, address string, w Workload, p *pulse, out, in []byte) error {
	conn, stop, err := c.open(ctx, address, w, p)
	if err != nil {
		return err
	}
	defer stop()
	if err := writeRequest(conn, w, 0); err != nil {
		return err
	}
	_, err = exchange(conn, out, in)
	return err
}
