package raw

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/thread"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// reflectRest is how long a Reflector looks for frames in vain before it sleeps: while it is
// measured it never does, and while others are it takes nothing of them.
const reflectRest = 20 * time.Millisecond

// Reflector is the least that kernel TCP takes for a peer that sends back its messages: it keeps
// no connection, has no timer, and makes each answer of the segment that it answers. It looks
// for frames without end. What a kernel client takes with it is what it takes with any
// stack over this port whose own time is next to nothing.
type Reflector struct {
	end *End
	tpl wire.Template
	out []dataplane.Frame

	looks uint  // in vain
	err   error // why a segment was not answered
}

// OpenReflector opens a host's interface for clients of one peer.
func OpenReflector(on, peer *lab.Host, mtu int, cfg millrace.Config) (*Reflector, error) {
	end, err := Open(on, peer, mtu, cfg)
	if err != nil {
		return nil, err
	}
	tpl, err := template(on, peer)
	if err != nil {
		return nil, errors.Join(err, end.Close())
	}
	return &Reflector{end: end, tpl: tpl, out: make([]dataplane.Frame, 0, dataplane.BatchMax)}, nil
}

// About says how the port was opened.
func (r *Reflector) About() string { return r.end.About() + ", the client is kernel TCP" }

// Close gives the port and the interface back.
func (r *Reflector) Close() error { return r.end.Close() }

// Serve answers until ctx ends. It returns why, if a segment could not be answered.
func (r *Reflector) Serve(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	port := r.end.port
	defer context.AfterFunc(ctx, port.Wake)()
	worked := time.Now()
	for ctx.Err() == nil {
		var batch [dataplane.BatchMax]dataplane.Frame
		n := port.Recv(batch[:])
		if n == 0 {
			port.Flush()
			r.yield()
			if time.Since(worked) > reflectRest {
				if err := port.Wait(-1); err != nil {
					return err
				}
				worked = time.Now()
			}
			continue
		}
		r.answerAll(batch[:n])
		port.Free(batch[:n])
		port.Send(r.out)
		port.Flush()
		r.out = r.out[:0]
		worked = time.Now()
	}
	return r.err
}

// yieldEvery is how many looks in vain there are between two at which a Reflector lets others
// have the processor: its client may have been woken on it, and would wait for the whole slice.
const yieldEvery = 32

func (r *Reflector) yield() {
	if r.looks++; r.looks%yieldEvery == 0 {
		thread.Yield()
	}
}

// answerAll puts the answers to frames on r.out.
func (r *Reflector) answerAll(frames []dataplane.Frame) {
	for len(frames) > 0 {
		n := dataplane.PacketLen(frames)
		if n > 1 {
			r.err = errors.New("raw: answer: a segment does not fit one frame")
		} else {
			r.answer(frames[0].Data)
		}
		frames = frames[n:]
	}
}

// answer puts the answer to a frame on r.out, if it is owed one.
func (r *Reflector) answer(frame []byte) {
	var eth wire.EthHeader
	var p wire.Packet
	var s wire.Segment
	if wire.ParseEthernet(frame, &eth) != nil || wire.ParseIP(frame[eth.Len:], &p) != nil || p.Proto != wire.ProtoTCP || wire.ParseTCP(p.Payload, &s) != nil {
		return
	}
	back, ok := answerTo(&s)
	if !ok {
		return
	}
	var lent [1]dataplane.Frame
	if r.end.port.Alloc(lent[:]) == 0 {
		return // the client sends again
	}
	f := lent[0]
	length := wire.HeaderLen(&back.Opt) + len(back.Payload)
	if r.tpl.Len()+length > min(r.end.size, len(f.Data)) {
		r.err = fmt.Errorf("raw: answer: %d octets do not fit one packet", len(back.Payload))
		r.end.port.Cancel(lent[:])
		return
	}
	f.Data = f.Data[:r.tpl.Len()+length]
	n := r.tpl.Put(f.Data, length, 0)
	n += wire.PutTCP(f.Data[n:], &back)
	copy(f.Data[n:], back.Payload)
	r.tpl.Finish(f.Data)
	r.out = append(r.out, f)
}

// answerTo makes the answer to a segment of a client. Our initial sequence number is the client's,
// so that what we send has the number of what we send back, less the request before it, which
// is not sent back: nothing need be remembered.
func answerTo(s *wire.Segment) (back wire.Segment, ok bool) {
	back = wire.Segment{
		SrcPort: s.DstPort, DstPort: s.SrcPort, ACK: s.SEQ.Add(s.LEN()), Flags: wire.ACK, WND: 0xffff,
	}
	switch {
	case s.Flags.Has(wire.RST) || s.LEN() == 0:
		return back, false
	case s.Flags.Has(wire.SYN):
		back.SEQ, back.Flags = s.SEQ, wire.SYN|wire.ACK
		back.Opt.Has, back.Opt.MSS = wire.HasMSS, s.Opt.MSS
	case bench.IsRequest(s.Payload):
		back.SEQ = s.SEQ
	default:
		back.SEQ, back.Payload = s.SEQ.Add(-bench.RequestLen), s.Payload
		back.Flags |= s.Flags & (wire.PSH | wire.FIN)
	}
	return back, true
}
