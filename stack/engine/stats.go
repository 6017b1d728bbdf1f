package engine

import "github.com/millrace-tcp/millrace/stack/tcp"

// Stats counts what the engine did since New. The worker writes; others read a copy that
// the worker made (Engine.Stats, called by way of Do).
type Stats struct {
	TCP  tcp.Stats
	Drop Drops

	RXFrames, TXFrames   uint64
	PartialChecksums     uint64 // accepted on a link known to be local
	ResetsSent           uint64 // to segments of no connection
	TimeWaitAnswers      uint64
	TimeWaitReused       uint64 // RFC 6191
	TimeWaitEvicted      uint64 // the table was full: the oldest left early
	Forwarded            uint64 // frames handed to the queue that owns their flow
	ForwardedIn          uint64
	Moved                uint64 // connections that went to the queue which the answer to their SYN came by
	FramesExhausted      uint64 // output put off for want of a transmit frame
	FramesKept           uint64 // received frames whose payload was not copied: see queue.Frames
	ReceiveCrowded       uint64 // how often half of the room for received frames was taken
	FramesKeptShort      uint64 // likewise, but as many as may be were kept already: copied at once
	FramesSpilled        uint64 // frames kept, and copied later to make room
	FramesKeptNow        int    // at this moment
	RoutesHeld           uint64 // output put off until the neighbour is known
	ICMPPathMTU          uint64 // believed
	PathMTUEvicted       uint64 // a path was forgotten early: too many are known
	ICMPUnreachable      uint64 // believed
	ListenOverflows      uint64 // SYN or its last ACK, but the accept queue is full
	ListenDrops          uint64 // SYN or its last ACK dropped, for whatever reason
	TCPReqQFullDoCookies uint64 // SYN beyond the half-open connections there may be: a cookie
	TCPReqQFullDrop      uint64 // likewise, and dropped
	TCPReqTimeouts       uint64 // half-open connections given up
	SyncookiesSent       uint64
	SyncookiesRecv       uint64 // good ones that came back
	SyncookiesFailed     uint64 // ACKs, while cookies were out, that acknowledge none
	TCPAbortOnMemory     uint64 // closed connections ended because there were too many
	TCPMemoryPressures   uint64 // how often memory became scarce
	Orphans              int    // at this moment: closed by the application, and not at their end
	HalfOpen, Conns      int    // at this moment
	TimeWaits, Listeners int    // at this moment
}

// Drops counts received frames that reached no connection, by reason.
type Drops struct {
	Ethernet     uint64 // shorter than its header
	EtherType    uint64 // neither IPv4 nor IPv6
	IPHeader     uint64 // broken header or extension headers
	IPTruncated  uint64 // the frame holds less than the IP length says
	IPChecksum   uint64
	Fragment     uint64
	NotTCP       uint64 // neither TCP nor an ICMP error about it
	NotOurs      uint64 // destination is none of our addresses
	Martian      uint64 // source cannot be a host, or is the destination itself
	TCPHeader    uint64
	TCPOptions   uint64
	TCPChecksum  uint64
	ICMP         uint64 // broken, or not about a connection of ours
	ICMPSequence uint64 // quotes nothing that is in flight (RFC 5927)
	NoListener   uint64 // for a port without listener or connection
	NotSYN       uint64 // for a listener, but neither SYN nor ACK
	Backlog      uint64 // SYN, but too many connections are half open
	AcceptQueue  uint64 // SYN or its last ACK, but the accept queue is full
	ConnsMax     uint64
	Memory       uint64 // SYN or its last ACK, but memory is at its ceiling
	ReplyLimit   uint64 // RST not sent: the rate limit
	ForwardFull  uint64 // the mailbox of the owning queue was full
}
