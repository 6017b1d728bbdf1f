package stack

import (
	"net"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// SetNoDelay turns Nagle's algorithm off, which it is at first as in package net, or on.
func (c *Conn) SetNoDelay(noDelay bool) error {
	return c.set(func(mono.Time) { c.c.TCP().SetNoDelay(noDelay) })
}

// SetKeepAlive turns keepalive on or off. It is off at first.
func (c *Conn) SetKeepAlive(on bool) error {
	return c.set(func(now mono.Time) { c.c.TCP().SetKeepAlive(now, on, 0, 0, 0) })
}

// SetKeepAlivePeriod sets how long the connection may be silent before the first probe, and
// the time between probes.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: d, Interval: d})
}

// The values that package net gives keepalive where its Config says zero.
const (
	keepIdleDefault     = 15 * time.Second
	keepIntervalDefault = 15 * time.Second
	keepCountDefault    = 9
)

// keepTimes are the times and the count of k. Less than zero leaves what is set.
func keepTimes(k net.KeepAliveConfig) (idle, interval time.Duration, count int) {
	idle, interval, count = k.Idle, k.Interval, k.Count
	if idle == 0 {
		idle = keepIdleDefault
	}
	if interval == 0 {
		interval = keepIntervalDefault
	}
	if count == 0 {
		count = keepCountDefault
	}
	return idle, interval, count
}

// SetKeepAliveConfig sets all that keepalive has; its zero values are those of package net,
// and less than zero leaves what is set.
func (c *Conn) SetKeepAliveConfig(k net.KeepAliveConfig) error {
	idle, interval, count := keepTimes(k)
	return c.set(func(now mono.Time) { c.c.TCP().SetKeepAlive(now, k.Enable, idle, interval, count) })
}

// SetUserTimeout bounds how long data may stay unacknowledged before the connection is given
// up, as TCP_USER_TIMEOUT; 0 leaves it to the retransmissions.
func (c *Conn) SetUserTimeout(d time.Duration) error {
	return c.set(func(now mono.Time) { c.c.TCP().SetUserTimeout(now, d) })
}

// SetLinger says what Close does with data not acknowledged: sec < 0, the default, sends it
// in the background; 0 drops it and sends RST; sec > 0 has Close wait for it that long.
func (c *Conn) SetLinger(sec int) error {
	if c.sock.Closed() {
		return c.opError("set", net.ErrClosed)
	}
	c.linger.Store(int64(sec))
	return nil
}

// SetReadBuffer sets how many octets are held for the reader. The window scale was settled
// with the handshake: windows beyond what it can express need ListenConfig.RecvBuffer or
// Dialer.RecvBuffer. A buffer that was set does not grow by itself any more.
func (c *Conn) SetReadBuffer(octets int) error {
	return c.set(func(now mono.Time) {
		c.c.TCP().FixReceiveBuffer()
		c.c.Recv().SetLimit(max(octets, bufferMin))
		c.c.TCP().Consumed(now)
	})
}

// SetWriteBuffer sets how many octets are held of the writer, for good.
func (c *Conn) SetWriteBuffer(octets int) error {
	err := c.set(func(mono.Time) {
		c.c.TCP().FixSendBuffer()
		c.c.Send().SetLimit(max(octets, bufferMin))
	})
	c.wr.open()
	return err
}

// bufferMin is the least that a buffer holds: three full segments and some, as on Linux.
const bufferMin = 4608

// set changes an option on the worker, and waits, so that it holds for what is written next.
func (c *Conn) set(f func(now mono.Time)) error {
	if c.sock.Closed() {
		return c.opError("set", net.ErrClosed)
	}
	err := c.ask(func(now mono.Time) {
		f(now)
		c.c.Touch()
	})
	if err != nil {
		return c.opError("set", err)
	}
	return nil
}
