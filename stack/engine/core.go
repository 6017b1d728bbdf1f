package engine

import "github.com/millrace-tcp/millrace/stack/tcp"

// The names of stack/tcp that users of an engine meet.
type (
	// CoreConfig is what connections have in common.
	CoreConfig = tcp.Config
	// Events says what changed for the application.
	Events = tcp.Events
	// State is the state of a connection.
	State = tcp.State
	// Cause says why a connection ended.
	Cause = tcp.Cause
	// Info is the state of a connection in full.
	Info = tcp.Info
)

// The events.
const (
	Readable = tcp.Readable
	Writable = tcp.Writable
	Open     = tcp.Open
	Closed   = tcp.Closed
	Replaced = tcp.Replaced
)

// AckFoldGRO is what Linux acknowledges at once, as a CoreConfig has it.
const AckFoldGRO = tcp.AckFoldGRO

// The causes of an end.
const (
	None        = tcp.None
	Refused     = tcp.Refused
	Reset       = tcp.Reset
	TimedOut    = tcp.TimedOut
	Aborted     = tcp.Aborted
	Unreachable = tcp.Unreachable

	NetUnreachable = tcp.NetUnreachable
	NoProtocol     = tcp.NoProtocol
)
