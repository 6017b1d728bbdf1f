package iperf3

import (
	"fmt"
	"strconv"
	"time"
)

// Limits of a test, those of iperf3 itself, so that what one end accepts the other does.
const (
	StreamsMax   = 128
	BlockSizeMax = 1 << 20
	TimeMax      = 86400 * time.Second
	OmitMax      = 600 * time.Second
)

// DefaultBlockSize is the length of one write in octets, as in iperf3.
const DefaultBlockSize = 128 << 10

// params is what a client asks of a server. What is zero is not sent, except for those
// that iperf3 always sends. Unknown members are ignored.
type params struct {
	TCP           bool   `json:"tcp,omitempty"`
	UDP           bool   `json:"udp,omitempty"`
	SCTP          bool   `json:"sctp,omitempty"`
	Omit          int    `json:"omit"`
	Time          int    `json:"time"`
	Num           int64  `json:"num"`
	Blocks        int64  `json:"blockcount"`
	MSS           int    `json:"MSS,omitempty"`
	NoDelay       bool   `json:"nodelay,omitempty"`
	Parallel      int    `json:"parallel"`
	Reverse       bool   `json:"reverse,omitempty"`
	Bidirectional bool   `json:"bidirectional,omitempty"`
	Window        int    `json:"window,omitempty"`
	Len           int    `json:"len"`
	Bandwidth     uint64 `json:"bandwidth,omitempty"`
	PacingTimer   int    `json:"pacing_timer,omitempty"`
	TOS           int    `json:"TOS,omitempty"`
	Title         string `json:"title,omitempty"`
	ExtraData     string `json:"extra_data,omitempty"`
	Congestion    string `json:"congestion,omitempty"`
	ServerOutput  int    `json:"get_server_output,omitempty"`
	AuthToken     string `json:"authtoken,omitempty"`
	ClientVersion string `json:"client_version"`
}

// refusal is a set of parameters that this server does not take, with iperf3's number for it.
type refusal struct {
	code uint32
	what string
}

// Error says which parameter it was.
func (r *refusal) Error() string { return "iperf3: client asks for " + r.what }

// check says whether this server can run the test.
func (p *params) check() error {
	switch {
	case p.UDP || p.SCTP || !p.TCP:
		return &refusal{codeNotYet, "a protocol other than TCP"}
	case p.Omit < 0 || p.Omit > int(OmitMax/time.Second):
		return &refusal{codeOmit, fmt.Sprintf("omit = %d s", p.Omit)}
	case p.Time < 0 || p.Time > int(TimeMax/time.Second):
		return &refusal{codeDuration, fmt.Sprintf("time = %d s", p.Time)}
	case p.Parallel < 1 || p.Parallel > StreamsMax:
		return &refusal{codeStreams, fmt.Sprintf("%d streams, of at most %d", p.Parallel, StreamsMax)}
	case p.Len < 1 || p.Len > BlockSizeMax:
		return &refusal{codeBlockSize, fmt.Sprintf("blocks of %d octets", p.Len)}
	case p.Num < 0 || p.Blocks < 0 || p.Reverse && p.Bidirectional:
		return &refusal{codeBadParams, "a negative count, or both --reverse and --bidir"}
	}
	return nil
}

// bounded says that the test ends after a count of octets and not after a time.
func (p *params) bounded() bool { return p.Num > 0 || p.Blocks > 0 }

// total is how many octets a bounded test moves.
func (p *params) total() int64 {
	if p.Num > 0 {
		return p.Num
	}
	return p.Blocks * int64(p.Len)
}

// count is a whole number from the other end. iperf3 sends an unknown one, -1, as 2^64-1 in
// some builds, and a large one with an exponent.
type count int64

// UnmarshalJSON takes both.
func (n *count) UnmarshalJSON(b []byte) error {
	if v, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*n = count(v)
		return nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return err
	}
	*n = -1
	if v > -1 && v < 1<<63 {
		*n = count(v)
	}
	return nil
}

// streamResult is what one end knows of a stream when the test is over.
type streamResult struct {
	ID             int     `json:"id"`
	Bytes          count   `json:"bytes"`
	Retransmits    count   `json:"retransmits"`
	Jitter         float64 `json:"jitter"`
	Errors         count   `json:"errors"`
	OmittedErrors  count   `json:"omitted_errors"`
	Packets        count   `json:"packets"`
	OmittedPackets count   `json:"omitted_packets"`
	StartTime      float64 `json:"start_time"`
	EndTime        float64 `json:"end_time"`
}

// results is what both ends tell each other when the test is over.
type results struct {
	CPUTotal       float64        `json:"cpu_util_total"`
	CPUUser        float64        `json:"cpu_util_user"`
	CPUSystem      float64        `json:"cpu_util_system"`
	HasRetransmits count          `json:"sender_has_retransmits"`
	Congestion     string         `json:"congestion_used,omitempty"`
	ServerText     string         `json:"server_output_text,omitempty"`
	Streams        []streamResult `json:"streams"`
}
