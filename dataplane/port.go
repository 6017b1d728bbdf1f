// Package dataplane is the seam between the stack and whatever carries its frames: an
// AF_XDP socket, a pipe in memory, a simulated link, or a wrapper around any of them.
package dataplane

import "time"

// BatchMax is the most frames that one call moves. It is also what a caller reserves for
// a batch, so that no batch ever grows: 64 frames of 4 KiB fit a level-two cache.
const BatchMax = 64

// PiecesMax is the most frames of one packet. The kernel builds no packet of more than a page
// and 17 fragments of one, 73,152 octets, and puts 3,840 into each chunk of 4,096: 20 chunks.
const PiecesMax = 20

// Frame is one packet buffer. It has exactly one holder at any time: the port, or the
// worker that received or allocated it. Handing a frame over ends the right to touch Data.
//
// A packet that is too long for one frame lies in several that follow each other, of which
// all but the last have More set. The first holds the headers.
type Frame struct {
	// Data is the packet from the first octet of its Ethernet header, or a piece of it. Of
	// a frame from Alloc it is the whole room there is; the holder cuts it to the packet's
	// length before Send.
	Data []byte
	// More says that the packet goes on in the next frame.
	More bool
	// ChecksumAt, if not 0, is where in the packet a TCP header begins whose checksum field
	// holds the sum of the pseudo-header and that the port is to see completed. It is set in
	// the first frame of a packet to send, and only where Info.TXChecksum is.
	ChecksumAt uint16
	// Handle belongs to the port and is not changed by others.
	Handle uint64
}

// PacketLen returns of how many frames the packet is that frames begins with. A packet that is
// cut off is as long as what there is of it.
func PacketLen(frames []Frame) int {
	for i := range frames {
		if !frames[i].More {
			return i + 1
		}
	}
	return len(frames)
}

// Port is one queue of a link. Its methods are called by one goroutine, the worker of the
// queue, except Wake, Stats and Info, which any goroutine may call. No method but Wait
// blocks. Of a SharedPort several goroutines are the worker by turns.
//
// Receive frames and transmit frames are dealt when the port is opened and never mixed:
// what came from Recv goes back by Free, what came from Alloc goes back by Send or Cancel.
type Port interface {
	// Recv fills dst, at most BatchMax frames of it, with received frames and returns
	// how many. The frames are the caller's until Free. Packets come whole: one of several
	// frames that dst has no room for, which PiecesMax always is, waits for the next call.
	Recv(dst []Frame) int
	// Free gives received frames back. A frame may have been cut; it is whole again.
	Free(frames []Frame)

	// Alloc fills dst with empty transmit frames and returns how many there were. Fewer
	// than asked for is a normal case: the link is slower than the sender. No frame has
	// More or ChecksumAt set.
	Alloc(dst []Frame) int
	// Send hands frames, in order, to the link. It takes all of them: a port never has
	// more transmit frames than room for them. What a link loses, it counts. A packet of
	// several frames, at most Info.Pieces, is sent whole, by one call.
	Send(frames []Frame)
	// Cancel gives back allocated frames that were not needed.
	Cancel(frames []Frame)

	// Flush sees to it that what was sent moves, if the link needs to be told, and
	// collects completed transmissions. Called once a step, after the last Send; it is
	// cheap when there is nothing to do.
	Flush()

	// Wait blocks until frames can be received, Wake is called, or d has passed; d < 0
	// is for ever, 0 returns at once. It may return early. A Wake that comes before Wait
	// makes the next Wait return at once. After Close it returns an error that wraps
	// net.ErrClosed.
	Wait(d time.Duration) error
	// Wake ends the present Wait, or the next. Safe for concurrent use, also after Close.
	Wake()

	Info() Info
	Stats() Stats

	// Close stops the port and gives back all it holds. The worker has returned its
	// frames before; one that is missing is a bug and reported as an error.
	Close() error
}

// SharedPort is a Port whose methods may be called by several goroutines that take turns, by a
// lock of theirs, while one of them, the worker, sleeps in Wait without it. It has a second
// way to wait for frames, for a goroutine that means to be gone soon and leaves the worker
// asleep meanwhile.
type SharedPort interface {
	Port
	// Pending says whether Recv would find frames. Any goroutine may call it.
	Pending() bool
	// Owing says that frames wait to be sent, or to become free, and that no event tells when
	// that has changed: Wait, which knows, must be entered anew.
	Owing() bool
	// Mute has frames, those that are Pending too, end Poll alone, and not Wait, until Unmute. Those
	// that are Pending after Unmute may never end Wait: who calls it looks, and calls Wake.
	Mute()
	Unmute()
	// Poll blocks until frames can be received, Interrupt is called, or d has passed, and may
	// do so with the thread. It may return early. It is called between Mute and Unmute.
	Poll(d time.Duration)
	// Interrupt ends the present Poll, or the next. Any goroutine may call it.
	Interrupt()
}

// KeepingPort is a Port of whose received frames some may be kept for long, while others are
// received and freed: Free takes them in any order. Readers may hold some beyond the end of the
// worker, even of the port.
type KeepingPort interface {
	Port
	// Leave says which received frames readers still hold when the worker ends, and is its last
	// call, made once. Close doesn't miss them, and their octets stay until they come back.
	Leave(frames []Frame)
	// Return gives one of those back. Any goroutine may call it, before Close and after.
	Return(f Frame)
}

// CrowdedPort is a Port that loses what comes when too much of it waits, and knows how much does.
type CrowdedPort interface {
	Port
	// Crowded says that half of the room for received frames is taken, by those that wait to be
	// received and those that were not freed. For the worker.
	Crowded() bool
}

// Crowded says whether a port is, of one that knows: what a wrapper tells of the port in it.
func Crowded(p Port) bool {
	c, ok := p.(CrowdedPort)
	return ok && c.Crowded()
}

// Info describes a port. It does not change while the port is open.
type Info struct {
	// Name says what the port is, for logs: "xsk eth0/3 zero-copy", "pipe a".
	Name string
	// Queue is the index of the receive queue that the port serves, from 0.
	Queue int
	// FrameSize is the room in a transmit frame, in octets, Ethernet header included.
	FrameSize int
	// TXFrames is how many transmit frames there are.
	TXFrames int
	// Pieces is the most frames of a packet that Send takes; 0 is 1.
	Pieces int
	// TXChecksum says that the port has checksums completed of what it sends: by the kernel
	// or the NIC, or by nobody where no wire can flip a bit.
	TXChecksum bool
	// KeepMax is how many received frames may be kept at a time, of a KeepingPort; 0 is none. The
	// link goes on with those that are left. KeepSize is the memory of each, in octets.
	KeepMax, KeepSize int
	// LinkLocal is set where no wire can flip a bit between the peer's checksum and this
	// port, so that a partial checksum (pseudo-header only) is accepted: a veth pair.
	// It is never set for hardware.
	LinkLocal bool
}

// PacketMax is the longest packet that can be sent, in octets, Ethernet header included.
func (i Info) PacketMax() int { return i.FrameSize * max(1, i.Pieces) }

// Stats counts since the port was opened. What is counted is packets, of however many
// frames.
type Stats struct {
	RXFrames, RXOctets uint64
	TXFrames, TXOctets uint64
	// RXDropped is frames lost before Recv for want of room; RXInvalid is frames that the
	// port refused, such as descriptors that point nowhere.
	RXDropped, RXInvalid uint64
	// TXDropped is frames that the link refused after Send took them.
	TXDropped uint64
	// Kicks is system calls made to start a transmission; KickRetries is how many of them
	// were told to try again.
	Kicks, KickRetries uint64
	// Waits is how often Wait really slept.
	Waits uint64
}
