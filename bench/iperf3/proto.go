// Package iperf3 speaks the protocol of iperf3 3.x over any net.Conn, as client and as
// server, for TCP. A stock iperf3 can be the other end in both roles, so that the stack is
// measured by a tool that everybody knows.
//
// One connection carries control: single octets that name a state, and JSON objects with
// their length in front. The data connections open with the same cookie as the control
// connection, which is how the server tells whose they are.
package iperf3

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// DefaultPort is the TCP port that iperf3 servers listen on.
const DefaultPort = 5201

// Version is what the JSON report and the parameters call this implementation: the
// iperf3 release whose protocol it follows.
const Version = "iperf 3.12 (millrace)"

// state is one octet on the control connection.
type state int8

// The states of a test, as iperf3 numbers them.
const (
	stateTestStart       state = 1
	stateTestRunning     state = 2
	stateTestEnd         state = 4
	stateParamExchange   state = 9
	stateCreateStreams   state = 10
	stateServerTerminate state = 11
	stateClientTerminate state = 12
	stateExchangeResults state = 13
	stateDisplayResults  state = 14
	stateStart           state = 15
	stateDone            state = 16
	stateAccessDenied    state = -1
	stateServerError     state = -2
)

// stateNames are for messages and logs.
var stateNames = map[state]string{
	stateTestStart:       "TEST_START",
	stateTestRunning:     "TEST_RUNNING",
	stateTestEnd:         "TEST_END",
	stateParamExchange:   "PARAM_EXCHANGE",
	stateCreateStreams:   "CREATE_STREAMS",
	stateServerTerminate: "SERVER_TERMINATE",
	stateClientTerminate: "CLIENT_TERMINATE",
	stateExchangeResults: "EXCHANGE_RESULTS",
	stateDisplayResults:  "DISPLAY_RESULTS",
	stateStart:           "IPERF_START",
	stateDone:            "IPERF_DONE",
	stateAccessDenied:    "ACCESS_DENIED",
	stateServerError:     "SERVER_ERROR",
}

// String returns the name that iperf3 gives the state.
func (s state) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("state %d", int8(s))
}

const (
	// cookieLen is the length of a cookie on the wire: 36 letters and a zero octet.
	cookieLen = 37
	// paramsMax bounds the parameters a client may send; iperf3 takes 8 KiB.
	paramsMax = 8 << 10
	// resultsMax bounds the results of the other end: 256 streams of some 200 octets
	// are 50 KiB, and with --get-server-output a text of the whole run comes along.
	resultsMax = 1 << 20
	// controlWait is how long one message on the control connection may take while no
	// test runs.
	controlWait = 10 * time.Second
)

// cookie is what the connections of one test have in common.
type cookie [cookieLen]byte

// newCookie returns a random cookie.
func newCookie() cookie {
	// iperf3 uses the alphabet of base 32; 32 letters divide 256, so none is likelier.
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	var c cookie
	_, _ = rand.Read(c[:cookieLen-1]) // never fails; the program dies instead
	for i := range c[:cookieLen-1] {
		c[i] = letters[c[i]%32]
	}
	return c
}

// String returns the letters of the cookie, without the zero octet.
func (c cookie) String() string { return string(c[:cookieLen-1]) }

// control is the control connection of a test. Only one goroutine reads it at a time, and
// one writes.
type control struct {
	net.Conn
}

// sendState names a new state to the other end.
func (c control) sendState(s state) error {
	if err := c.SetWriteDeadline(time.Now().Add(controlWait)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{byte(s)}); err != nil {
		return fmt.Errorf("iperf3: send %v: %w", s, err)
	}
	return nil
}

// readState waits for the next state, for as long as the caller's deadline allows.
func (c control) readState() (state, error) {
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return 0, err
	}
	return state(int8(b[0])), nil
}

// sendJSON sends v with its length in front, in one write.
func (c control) sendJSON(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(controlWait)); err != nil {
		return err
	}
	msg := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = c.Write(append(msg, body...))
	return err
}

// readJSON reads an object of at most limit octets into v.
func (c control) readJSON(v any, limit int) error {
	if err := c.SetReadDeadline(time.Now().Add(controlWait)); err != nil {
		return err
	}
	defer c.SetReadDeadline(time.Time{})
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > uint32(limit) {
		return fmt.Errorf("object of %d octets, want 1 to %d", n, limit)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// The error numbers of iperf3 that this server sends; a stock client prints its own text
// for them.
const (
	codeDuration   = 5
	codeStreams    = 6
	codeBlockSize  = 7
	codeOmit       = 12
	codeNotYet     = 13
	codeBadParams  = 114
	codeNoProgress = 144
)

// sendError reports a failure to a client: the state, then iperf3's error number and an
// errno, which is zero here.
func (c control) sendError(code uint32) error {
	if err := c.sendState(stateServerError); err != nil {
		return err
	}
	msg := binary.BigEndian.AppendUint32(nil, code)
	_, err := c.Write(binary.BigEndian.AppendUint32(msg, 0))
	return err
}

// readError reads what follows SERVER_ERROR.
func (c control) readError() error {
	if err := c.SetReadDeadline(time.Now().Add(controlWait)); err != nil {
		return err
	}
	var b [8]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return errors.New("iperf3: the server reports an error")
	}
	return fmt.Errorf("iperf3: the server reports error %d, errno %d",
		binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint32(b[4:]))
}
