package tcp

import "github.com/millrace-tcp/millrace/mono"

// State is a state of the connection (RFC 9293, section 3.3.2).
type State uint8

// The eleven states. LISTEN belongs to the engine's listeners and never to a Conn.
const (
	StateClosed State = iota
	StateListen
	StateSynSent
	StateSynReceived
	StateEstablished
	StateFinWait1
	StateFinWait2
	StateCloseWait
	StateClosing
	StateLastAck
	StateTimeWait
)

// String returns the RFC's name of the state.
func (s State) String() string {
	switch s {
	case StateClosed:
		return "CLOSED"
	case StateListen:
		return "LISTEN"
	case StateSynSent:
		return "SYN-SENT"
	case StateSynReceived:
		return "SYN-RECEIVED"
	case StateEstablished:
		return "ESTABLISHED"
	case StateFinWait1:
		return "FIN-WAIT-1"
	case StateFinWait2:
		return "FIN-WAIT-2"
	case StateCloseWait:
		return "CLOSE-WAIT"
	case StateClosing:
		return "CLOSING"
	case StateLastAck:
		return "LAST-ACK"
	case StateTimeWait:
		return "TIME-WAIT"
	}
	return "unknown"
}

// Synchronized says whether both sides have seen each other's SYN.
func (s State) Synchronized() bool { return s >= StateEstablished }

// sends says whether new data may be sent in s.
func (s State) sends() bool { return s == StateEstablished || s == StateCloseWait }

// receives says whether data may arrive in s.
func (s State) receives() bool {
	return s == StateEstablished || s == StateFinWait1 || s == StateFinWait2
}

// Cause says why a connection ended.
type Cause uint8

// The causes.
const (
	None           Cause = iota // it has not, or in good order
	Refused                     // RST in answer to our SYN
	Reset                       // RST from the peer
	TimedOut                    // no answer to retransmissions, probes or keepalives
	Aborted                     // by our own side
	Unreachable                 // the network said so, of the host
	NetUnreachable              // or of the host's network
	NoProtocol                  // or that the host does not speak TCP
)

// String returns the cause as it is logged.
func (c Cause) String() string {
	switch c {
	case None:
		return "none"
	case Refused:
		return "refused"
	case Reset:
		return "reset"
	case TimedOut:
		return "timed out"
	case Aborted:
		return "aborted"
	case Unreachable:
		return "unreachable"
	case NetUnreachable:
		return "network unreachable"
	case NoProtocol:
		return "protocol unreachable"
	}
	return "unknown"
}

// Events says what changed for the application.
type Events uint8

// The events.
const (
	Readable  Events = 1 << iota // data, or the end of the peer's data
	Writable                     // space in the send queue
	Open                         // the handshake is done
	Closed                       // the connection is gone; Cause says why
	PathFound                    // a search has found what the path carries: PathMSS
	Replaced                     // the guard put Reno in the algorithm's place; Conn.Replaced says why
)

// setState is the one place where the state changes.
func (c *Conn) setState(s State) {
	if s == StateClosed || s == StateTimeWait {
		c.endRecord()
	}
	switch s {
	case StateClosed:
		c.events |= Closed | Readable | Writable
		for i := range c.timers {
			c.timers[i] = mono.Never
		}
		c.board.reset()
		c.p.Send.Shut()
	case StateTimeWait:
		for i := range c.timers {
			c.timers[i] = mono.Never
		}
		c.p.Send.Shut()
	case StateListen, StateSynSent, StateSynReceived, StateEstablished, StateFinWait1,
		StateFinWait2, StateCloseWait, StateClosing, StateLastAck:
	}
	c.state = s
}

// end closes the connection for cause. What is owed then is at most an RST.
func (c *Conn) end(cause Cause) {
	if c.state == StateClosed {
		return
	}
	c.cause = cause
	c.owe = owed{rst: c.owe.rst, rstBare: c.owe.rstBare, rstSEQ: c.owe.rstSEQ}
	c.setState(StateClosed)
}
