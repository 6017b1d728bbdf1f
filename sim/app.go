package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// ending is how an application ends its connection.
type ending uint8

const (
	// endInTurn closes its side when all is written, and both when the peer has, too.
	endInTurn ending = iota
	// endAfterPeer closes when the peer has closed its side and all is written.
	endAfterPeer
	// endClose closes both sides at once when enough was read or written; what arrives then
	// is lost, as the peer will hear.
	endClose
	// endAbort aborts when enough was read or written.
	endAbort
	// endNever leaves the connection as it is.
	endNever
)

// unlimited is as many octets as there is time for.
const unlimited = math.MaxInt64

// behaviour is what an application does with its end of a connection.
type behaviour struct {
	write    int64 // octets to write
	ending   ending
	enough   int64         // octets read and written after which endClose and endAbort act
	latest   time.Duration // or so long after the connection opened; 0 is a minute
	writeMax int           // a write is of 1 to so many octets; 0: of as many as there is room for
	readMax  int           // likewise for a read

	pauses    float64       // of pausing after a read or write
	pauseMax  time.Duration // for up to so long
	stall     time.Duration // reads nothing for so long from the beginning
	readClose int64         // octets after which it reads no more (CloseRead); 0: never
}

// app is the application at one end of a connection. It is called by the engine as the
// connection's Observer, and by timers of its own.
type app struct {
	net    *network
	host   *host
	flow   *flow
	conn   *engine.Conn
	rng    *rand.Rand
	does   behaviour
	sends  uint64 // phase of the stream that it writes
	reads  uint64 // phase of the stream that it reads
	client bool

	opened, ended         bool
	dialedAt              mono.Time // of a client
	openedAt, endedAt     mono.Time
	readAt                mono.Time // when it last read something
	written, read         int64
	writePause, readPause bool
	writeDone, readDone   bool // closed its side; saw the end of the peer's
	readShut              bool
	closed                bool
	cause                 tcp.Cause
	expired               bool     // by its user timeout, or another
	info                  tcp.Info // when it ended
}

// dial begins the connection, on the client's side.
func (a *app) dial(remote netip.AddrPort, port uint16, o engine.Options) {
	o.Observer = a
	c, err := a.host.eng.Connect(a.host.clock(), engine.ConnectConfig{
		Local: netip.AddrPortFrom(a.host.addr, port), Remote: remote, Options: o,
	})
	if errors.Is(err, engine.ErrInUse) && a.flow.round > 0 {
		// The connection before is in TIME-WAIT on this side.
		a.net.after(time.Second, func(mono.Time) { a.dial(remote, port, o) })
		return
	}
	if err != nil {
		a.net.fail("%v: connect: %v", a, err)
		return
	}
	a.conn, a.dialedAt = c, a.net.now
	c.TCP().SetRecorder(a.flow.recorder)
	a.host.dirty = true
}

// Accept takes the connection, on the server's side.
func (a *app) accept(c *engine.Conn) {
	a.conn = c
	c.SetObserver(a)
}

// String names the application for messages.
func (a *app) String() string {
	if a.client {
		return "client " + a.flow.name
	}
	return "server " + a.flow.name
}

// ConnEvent is what the engine calls.
func (a *app) ConnEvent(c *engine.Conn, e tcp.Events) {
	if c != a.conn {
		return
	}
	if e&tcp.Open != 0 && !a.opened {
		a.opened, a.openedAt = true, a.net.now
		if a.does.stall > 0 {
			a.pauseReading(a.does.stall)
		}
		if a.does.breaks() && a.does.ending != endNever {
			a.hurry()
		}
	}
	a.work()
	if c.Status().Gone() {
		a.end()
	}
}

// hurry sees to it that an application that breaks off does so some time.
func (a *app) hurry() {
	if a.does.latest == 0 {
		a.does.latest = time.Minute
	}
	a.net.after(a.does.latest, func(mono.Time) {
		a.does.enough = 0
		a.resume()
	})
}

// end is reached when the connection is gone.
func (a *app) end() {
	if a.ended {
		return
	}
	a.ended, a.endedAt = true, a.net.now
	a.cause = a.conn.Status().Cause()
	a.expired = a.cause == tcp.TimedOut && a.host.options.userTimeout > 0
	a.info = a.conn.TCP().Info(a.host.clock())
	// In good order there may be data left to read.
	a.closeIf(a.cause != tcp.None || a.does.ending == endNever)
}

// over says that the connection exchanges no data any more.
func (a *app) over() bool {
	if a.conn == nil {
		return false
	}
	switch a.conn.Status().State() {
	case tcp.StateClosed, tcp.StateTimeWait:
		return true
	case tcp.StateListen, tcp.StateSynSent, tcp.StateSynReceived, tcp.StateEstablished, tcp.StateFinWait1,
		tcp.StateFinWait2, tcp.StateCloseWait, tcp.StateClosing, tcp.StateLastAck:
	}
	return false
}

// work does what can be done at this moment.
func (a *app) work() {
	if a.closed || !a.opened {
		return
	}
	a.doReads()
	a.doWrites()
	if a.closed {
		return
	}
	switch a.does.ending {
	case endInTurn:
		a.closeWriteIf(a.written == a.does.write)
		a.closeIf(a.writeDone && a.readDone)
	case endAfterPeer:
		a.closeIf(a.readDone && a.written == a.does.write)
	case endClose:
		a.closeIf(a.read+a.written >= a.does.enough)
	case endAbort:
		if a.read+a.written >= a.does.enough {
			a.closed = true
			a.conn.PostAbort()
		}
	case endNever:
	}
}

func (a *app) closeWriteIf(yes bool) {
	if yes && !a.writeDone {
		a.writeDone = true
		a.conn.PostCloseWrite()
	}
}

func (a *app) closeIf(yes bool) {
	if yes {
		a.closeBoth()
	}
}

func (a *app) closeBoth() {
	if !a.closed {
		a.closed = true
		a.conn.PostClose()
	}
}

// doWrites fills the send queue, in pieces.
func (a *app) doWrites() {
	q := a.conn.Send()
	wrote := false
	for !a.writePause && a.written < a.does.write && !a.ended {
		n := patternLen
		if a.does.writeMax > 0 {
			n = 1 + a.rng.IntN(a.does.writeMax)
		} else if !q.Roomy() {
			break // a bulk writer does not bother about less
		}
		n = int(min(int64(n), a.does.write-a.written))
		n = q.Write(a.net.pattern.at(a.sends, uint64(a.written), n))
		if n == 0 {
			break
		}
		wrote = true
		a.written += int64(n)
		if a.pausesNow() {
			a.pauseWriting(a.pauseLen())
		}
	}
	if wrote {
		a.conn.PostWrite()
	}
}

// doReads empties the receive queue, in pieces, and compares.
func (a *app) doReads() {
	if a.readShut {
		a.readDone = a.conn.Status().PeerFinished()
		return
	}
	q := a.conn.Recv()
	for !a.readPause && q.Len() > 0 {
		buf := a.net.buf[:]
		if a.does.readMax > 0 {
			buf = buf[:1+a.rng.IntN(a.does.readMax)]
		}
		n := q.Read(buf)
		if n == 0 {
			break
		}
		if at, ok := a.net.pattern.matches(a.reads, uint64(a.read), buf[:n]); !ok {
			a.net.fail("%v: octet %d of the stream is wrong", a, at)
			return
		}
		a.read += int64(n)
		a.readAt = a.net.now
		if a.pausesNow() {
			a.pauseReading(a.pauseLen())
		}
		if a.does.readClose > 0 && a.read >= a.does.readClose {
			a.readShut = true
			a.conn.PostCloseRead()
			a.readDone = a.conn.Status().PeerFinished()
			return
		}
	}
	if q.UpdateDue() {
		a.conn.PostRead()
	}
	if q.Len() == 0 && a.conn.Status().PeerFinished() {
		a.readDone = true
	}
}

func (a *app) pausesNow() bool { return a.does.pauses > 0 && a.rng.Float64() < a.does.pauses }

func (a *app) pauseLen() time.Duration {
	return time.Duration(1 + a.rng.Int64N(int64(max(a.does.pauseMax, 1))))
}

func (a *app) pauseReading(d time.Duration) {
	a.readPause = true
	a.net.after(d, func(mono.Time) {
		a.readPause = false
		a.resume()
	})
}

func (a *app) pauseWriting(d time.Duration) {
	a.writePause = true
	a.net.after(d, func(mono.Time) {
		a.writePause = false
		a.resume()
	})
}

// resume goes on after a pause.
func (a *app) resume() {
	a.work()
	a.host.dirty = true
}

// state describes the application and its connection, for the report of a failure.
func (a *app) state() string {
	if a.conn == nil {
		return fmt.Sprintf("%v: no connection", a)
	}
	return fmt.Sprintf("%v: %v, wrote %d of %d, read %d, %+v, %+v", a, a.conn.Status().State(),
		a.written, a.does.write, a.read, a.does, a.conn.TCP().View())
}
