package sim

import "github.com/millrace-tcp/millrace/mono"

// frameSize is the room in a frame: an MTU of 1500, an Ethernet header with a tag, and what
// rounds it up to a size that memory likes.
const frameSize = 2048

// place says where a packet is. A packet is at exactly one.
type place uint8

const (
	placeFree    place = iota
	placeLent          // allocated by an engine for sending
	placeFlying        // on a path
	placeWaiting       // at a port, not received yet
	placeTaken         // received by an engine
)

// packet is one packet buffer of the network.
type packet struct {
	buf    []byte // frameSize
	n      int    // octets of frame
	sent   mono.Time
	path   int16 // which path it is on
	from   int16 // which host sent it
	place  place
	broken bool // an octet was changed on the way
}

// frame is the octets of the packet.
func (p *packet) frame() []byte { return p.buf[:p.n] }

// packets is all packet buffers of a network, whoever has them. Each change of place is
// checked, so that a frame that is lost, or given back twice, is found where it happens.
type packets struct {
	all  []packet
	free []int32
}

// packetsMax bounds a network whose paths have no queue limit: 256k frames are 512 MiB.
const packetsMax = 1 << 18

// get lends a free packet; false when the network holds too many.
func (s *packets) get(to place) (int32, bool) {
	if len(s.free) == 0 {
		if len(s.all) >= packetsMax {
			return 0, false
		}
		s.grow()
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.move(i, placeFree, to)
	return i, true
}

func (s *packets) grow() {
	const batch = 64
	mem := make([]byte, batch*frameSize)
	for i := range batch {
		s.free = append(s.free, int32(len(s.all)))
		s.all = append(s.all, packet{buf: mem[i*frameSize : (i+1)*frameSize : (i+1)*frameSize]})
	}
}

// move takes packet i from one place to the next.
func (s *packets) move(i int32, from, to place) {
	p := &s.all[i]
	if p.place != from {
		panic("BUG: sim: a frame is not where its holder says")
	}
	p.place = to
	if to == placeFree {
		p.broken = false
	}
}

// drop gives packet i back.
func (s *packets) drop(i int32, from place) {
	s.move(i, from, placeFree)
	s.free = append(s.free, i)
}

// out returns how many packets are not free.
func (s *packets) out() int { return len(s.all) - len(s.free) }
