package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// groups are the idle connections of a server, by the number that the client drew. They
// have no goroutine each, so that what a connection takes is what the stack takes for it.
// The first of a group has one, and when it ends all of them end.
type groups struct {
	mu   sync.Mutex
	kept map[uint64][]func()
}

// errKept says that a connection is left open.
var errKept = errors.New("kept")

// serve takes a connection into its group. release closes it.
func (g *groups) serve(c net.Conn, number uint64, release func()) error {
	g.mu.Lock()
	_, known := g.kept[number]
	if known {
		g.kept[number] = append(g.kept[number], release)
	} else {
		if g.kept == nil {
			g.kept = make(map[uint64][]func())
		}
		g.kept[number] = nil
	}
	g.mu.Unlock()
	err := c.SetDeadline(time.Time{})
	if err == nil {
		_, err = c.Write([]byte{1})
	}
	if known {
		return errKept // also if it broke: the group's end closes it
	}
	if err == nil {
		_, err = io.Copy(io.Discard, c)
	}
	g.release(number)
	if err != nil {
		return fmt.Errorf("bench: keep idle connections: %w", err)
	}
	return nil
}

// release ends a group, but for its first connection.
func (g *groups) release(number uint64) {
	g.mu.Lock()
	all := g.kept[number]
	delete(g.kept, number)
	g.mu.Unlock()
	for _, release := range all {
		release()
	}
}

// end ends all groups.
func (g *groups) end() {
	g.mu.Lock()
	var numbers []uint64
	for number := range g.kept {
		numbers = append(numbers, number)
	}
	g.mu.Unlock()
	for _, number := range numbers {
		g.release(number)
	}
}

// openersMax is how many connections of Hold are opened at once: few, so that no backlog
// overflows.
const openersMax = 16

// Hold opens connections and keeps them, with nothing to say, until Release. The server has
// accepted them all when it returns.
func (c *Client) Hold(ctx context.Context, address string, conns int) error {
	w := Workload{Kind: Idle, Flows: conns, Time: time.Second}
	if err := w.Check(); err != nil {
		return err
	}
	if len(c.held) > 0 {
		return errors.New("bench: hold: connections are held already")
	}
	group := rand.Uint64()
	held := make([]net.Conn, conns)
	// The first is its group's head, and must be there before the others.
	var err error
	if held[0], err = c.holdOne(ctx, address, w, group); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var all sync.WaitGroup
	for range openersMax {
		all.Go(func() {
			for i := range next {
				var err error
				if held[i], err = c.holdOne(ctx, address, w, group); err != nil {
					cancel(fmt.Errorf("bench: hold connection %d of %d: %w", i+1, conns, err))
				}
			}
		})
	}
	for i := 1; i < conns && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	all.Wait()
	for _, conn := range held {
		if conn != nil {
			c.held = append(c.held, conn)
		}
	}
	if ctx.Err() != nil {
		c.Release()
		return context.Cause(ctx)
	}
	return nil
}

func (c *Client) holdOne(ctx context.Context, address string, w Workload, group uint64) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	conn, err := c.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("bench: connect: %w", err)
	}
	err = conn.SetDeadline(time.Now().Add(patience))
	if err == nil {
		err = writeRequest(conn, w, group)
	}
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("bench: open an idle connection: %w", err)
	}
	return conn, nil
}

// Release closes what Hold opened, the head of the group last: the server then closes what
// is its. The others are reset where that can be done, so that their ports are free at once.
func (c *Client) Release() {
	for i := len(c.held) - 1; i >= 0; i-- {
		if l, ok := c.held[i].(interface{ SetLinger(sec int) error }); ok && i > 0 {
			_ = l.SetLinger(0)
		}
		_ = c.held[i].Close()
	}
	c.held = nil
}

// idle holds connections for the workload's time.
func (c *Client) idle(ctx context.Context, address string, w Workload) (r Result, err error) {
	if err := c.Hold(ctx, address, w.flows()); err != nil {
		return r, err
	}
	defer c.Release()
	start := time.Now()
	select {
	case <-time.After(w.Time):
	case <-ctx.Done():
		return r, context.Cause(ctx)
	}
	return Result{Count: int64(w.flows()), Elapsed: time.Since(start)}, nil
}
