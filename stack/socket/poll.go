package socket

// Ready is what poll says of a socket.
type Ready uint16

// The bits of Ready, as Linux numbers them.
const (
	In    Ready = 0x001 // Read would not wait, or Accept
	Out   Ready = 0x004 // Write would not wait
	Err   Ready = 0x008 // an error waits to be reported
	Hup   Ready = 0x010 // both directions have ended, or there never was a connection
	RDHup Ready = 0x2000
)

// Ready returns what the connection is ready for.
func (s *Stream) Ready() Ready {
	status := s.c.Status()
	over := status.Gone() || resting(status)
	readEnd := over || status.PeerFinished() || s.readShut.Load()
	writeEnd := over || s.writeShut.Load()
	var r Ready
	if readEnd && writeEnd {
		r |= Hup
	}
	if readEnd {
		r |= In | RDHup
	}
	if status.Open() || over {
		if s.c.Recv().Len() > 0 {
			r |= In
		}
		if q := s.c.Send(); writeEnd || q.Roomy() {
			r |= Out
		}
	}
	if s.pending(status) != OK {
		r |= Err
	}
	return r
}
