package iperf3

import (
	"encoding/json"
	"io"
	"time"
)

// Report is a test and its results in the shape of iperf3's JSON output.
type Report struct {
	Start     StartInfo      `json:"start"`
	Intervals []IntervalInfo `json:"intervals"`
	End       *EndInfo       `json:"end"`
	Error     string         `json:"error,omitempty"`

	server bool // whose report it is
}

// StartInfo is how the test was set up.
type StartInfo struct {
	Connected     []Connected `json:"connected"`
	Version       string      `json:"version"`
	SystemInfo    string      `json:"system_info"`
	Timestamp     *Timestamp  `json:"timestamp,omitempty"`
	ConnectingTo  *Host       `json:"connecting_to,omitempty"`
	Accepted      *Host       `json:"accepted_connection,omitempty"`
	Cookie        string      `json:"cookie,omitempty"`
	TargetBitrate uint64      `json:"target_bitrate"`
	SockBufsize   int         `json:"sock_bufsize"`
	TestStart     *TestStart  `json:"test_start,omitempty"`
}

// Connected is one data connection.
type Connected struct {
	Socket     int    `json:"socket"`
	LocalHost  string `json:"local_host"`
	LocalPort  int    `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort int    `json:"remote_port"`
}

// Timestamp is when the test began.
type Timestamp struct {
	Time     string `json:"time"`
	TimeSecs int64  `json:"timesecs"`
}

// Host is the other end of the control connection.
type Host struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// TestStart is what the client asked for.
type TestStart struct {
	Protocol      string `json:"protocol"`
	NumStreams    int    `json:"num_streams"`
	BlkSize       int    `json:"blksize"`
	Omit          int    `json:"omit"`
	Duration      int    `json:"duration"`
	Bytes         int64  `json:"bytes"`
	Blocks        int64  `json:"blocks"`
	Reverse       int    `json:"reverse"`
	Bidir         int    `json:"bidir"`
	TOS           int    `json:"tos"`
	TargetBitrate uint64 `json:"target_bitrate"`
}

// IntervalInfo is one interval; SumReverse is there in a test of both directions.
type IntervalInfo struct {
	Streams    []SpanInfo `json:"streams"`
	Sum        *SpanInfo  `json:"sum"`
	SumReverse *SpanInfo  `json:"sum_bidir_reverse,omitempty"`
}

// SpanInfo is one stream, or a sum, in one interval. What the transport does not tell is
// left out.
type SpanInfo struct {
	Socket        int     `json:"socket,omitempty"`
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Seconds       float64 `json:"seconds"`
	Bytes         int64   `json:"bytes"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits,omitempty"`
	SndCwnd       *int64  `json:"snd_cwnd,omitempty"`
	SndWnd        *int64  `json:"snd_wnd,omitempty"`
	RTT           *int64  `json:"rtt,omitempty"`    // µs
	RTTVar        *int64  `json:"rttvar,omitempty"` // µs
	PMTU          *int    `json:"pmtu,omitempty"`
	Omitted       bool    `json:"omitted"`
	Sender        bool    `json:"sender"`
}

// EndInfo is the results.
type EndInfo struct {
	Streams            []EndStream `json:"streams,omitempty"`
	SumSent            *EndSide    `json:"sum_sent,omitempty"`
	SumReceived        *EndSide    `json:"sum_received,omitempty"`
	SumSentReverse     *EndSide    `json:"sum_sent_bidir_reverse,omitempty"`
	SumReceivedReverse *EndSide    `json:"sum_received_bidir_reverse,omitempty"`
	CPU                *CPUInfo    `json:"cpu_utilization_percent,omitempty"`
	SenderCongestion   string      `json:"sender_tcp_congestion,omitempty"`
	ReceiverCongestion string      `json:"receiver_tcp_congestion,omitempty"`
}

// EndStream is both ends of one stream.
type EndStream struct {
	Sender   EndSide `json:"sender"`
	Receiver EndSide `json:"receiver"`
}

// EndSide is one end of a stream, or a sum, over the measured part. Sender says whether
// this process is the one that sent.
type EndSide struct {
	Socket        int     `json:"socket,omitempty"`
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Seconds       float64 `json:"seconds"`
	Bytes         int64   `json:"bytes"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits,omitempty"`
	MaxCwnd       *int64  `json:"max_snd_cwnd,omitempty"`
	MaxSndWnd     *int64  `json:"max_snd_wnd,omitempty"`
	MaxRTT        *int64  `json:"max_rtt,omitempty"` // µs
	MinRTT        *int64  `json:"min_rtt,omitempty"`
	MeanRTT       *int64  `json:"mean_rtt,omitempty"`
	Sender        bool    `json:"sender"`
}

// CPUInfo is the load of both ends, in percent of one core.
type CPUInfo struct {
	HostTotal    float64 `json:"host_total"`
	HostUser     float64 `json:"host_user"`
	HostSystem   float64 `json:"host_system"`
	RemoteTotal  float64 `json:"remote_total"`
	RemoteUser   float64 `json:"remote_user"`
	RemoteSystem float64 `json:"remote_system"`
}

// WriteJSON writes the report as iperf3 -J does.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "\t")
	return enc.Encode(r)
}

// add sums up one end of several streams.
func (e *EndSide) add(s EndSide) {
	e.Bytes += s.Bytes
	e.Start, e.Sender = s.Start, s.Sender
	e.End = max(e.End, s.End)
	e.Seconds = e.End - e.Start
	e.BitsPerSecond = rate(e.Bytes, e.Seconds)
	if s.Retransmits != nil {
		sum := *s.Retransmits
		if e.Retransmits != nil {
			sum += *e.Retransmits
		}
		e.Retransmits = &sum
	}
}

// newReport begins a report.
func newReport(server bool) *Report {
	return &Report{
		server: server,
		Start:  StartInfo{Connected: []Connected{}, Version: Version, SystemInfo: systemInfo()},
		// Empty, not null: iperf3 has the members in a failed test too.
		Intervals: []IntervalInfo{}, End: &EndInfo{},
	}
}

// begin notes what is known when the data starts.
func (r *Report) begin(run *run, c cookie) {
	now := time.Now()
	r.Start.Timestamp = &Timestamp{now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), now.Unix()}
	r.Start.Cookie = c.String()
	p := run.p
	r.Start.TargetBitrate, r.Start.SockBufsize = p.Bandwidth, p.Window
	r.Start.TestStart = &TestStart{
		Protocol: "TCP", NumStreams: p.Parallel, BlkSize: p.Len, Omit: p.Omit, Duration: p.Time,
		Bytes: p.Num, Blocks: p.Blocks, Reverse: number(p.Reverse), Bidir: number(p.Bidirectional),
		TOS: p.TOS, TargetBitrate: p.Bandwidth,
	}
	for _, s := range run.streams {
		c := Connected{Socket: label(s.id)}
		c.LocalHost, c.LocalPort = hostPort(s.conn.LocalAddr())
		c.RemoteHost, c.RemotePort = hostPort(s.conn.RemoteAddr())
		r.Start.Connected = append(r.Start.Connected, c)
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
