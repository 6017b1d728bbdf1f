// Package inspect is the door through which a running millrace is looked at from outside: a
// socket in the file system, on which it tells what it serves and which connections it has.
// It answers, and takes no orders. Only the user who runs the process, and root, may ask.
package inspect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/stack"
)

// Instance is a running millrace.
type Instance struct {
	PID     int      `json:"pid"`
	Command []string `json:"command"`
	NIC     NIC      `json:"nic"`
	// Counts of what has no row in Connections.
	Listeners int `json:"listeners"`
	HalfOpen  int `json:"half_open"`
	TimeWaits int `json:"time_wait"`
	// BufferOctets is the memory that the connections' queues hold.
	BufferOctets int64        `json:"buffer_bytes"`
	Connections  []Connection `json:"connections"`
	Frames       Frames       `json:"frames"`
}

// Frames is what became of received frames, summed over the queues.
type Frames struct {
	KeptNow   int    `json:"kept_now"`   // readers, or queues of connections, hold them at this moment
	KeptMax   int    `json:"kept_max"`   // they may hold at most
	Kept      uint64 `json:"kept"`       // since it was opened: payload that was not copied
	KeptShort uint64 `json:"kept_short"` // copied, for as many were kept as may be
	Spilled   uint64 `json:"spilled"`    // kept, and copied later to make room
	Forwarded uint64 `json:"forwarded"`  // arrived on another queue than that of their connection
	NoSocket  uint64 `json:"no_socket"`  // arrived on a queue that is not served, and were dropped
}

// NIC is the interface that an instance serves, and how.
type NIC struct {
	Name     string `json:"name"`
	Driver   string `json:"driver"`
	Attached string `json:"xdp"` // native or generic
	ZeroCopy []bool `json:"zerocopy"`
	Queues   int    `json:"queues"`
	MTU      int    `json:"mtu"`
	// FrameOctets is the memory of the queues' frames, FramePages of what pages it is.
	FrameOctets int    `json:"frame_bytes"`
	FramePages  string `json:"frame_pages"`
	// FrameSize, RXFrames and TXFrames are what each queue has of them, and FrameRule why.
	FrameSize int      `json:"frame_size"`
	RXFrames  int      `json:"rx_frames"`
	TXFrames  int      `json:"tx_frames"`
	FrameRule string   `json:"frame_rule"`
	Notes     []string `json:"notes"`
}

// Connection is one of its connections: struct tcp_info of Linux under the names that
// ss -ti prints, times in milliseconds.
type Connection struct {
	State         string  `json:"state"`
	Local         string  `json:"local"`
	Remote        string  `json:"remote"`
	RecvQueue     int     `json:"recv_q"`
	SendQueue     int     `json:"send_q"` // octets not acknowledged, sent or not
	CC            string  `json:"cc"`
	Recovery      string  `json:"ca_state"`
	Timestamps    bool    `json:"ts"`
	SACK          bool    `json:"sack"`
	ECN           string  `json:"ecn"`
	SendScale     uint8   `json:"snd_wscale"`
	RecvScale     uint8   `json:"rcv_wscale"`
	RTO           float64 `json:"rto_ms"`
	RTT           float64 `json:"rtt_ms"`
	RTTVar        float64 `json:"rttvar_ms"`
	MinRTT        float64 `json:"minrtt_ms"`
	MSS           int     `json:"mss"`
	RecvMSS       int     `json:"rcvmss"`
	Cwnd          int     `json:"cwnd_bytes"`
	Ssthresh      int     `json:"ssthresh_bytes"`
	Flight        int     `json:"inflight_bytes"`
	SendWindow    int     `json:"snd_wnd"`
	RecvWindow    int     `json:"rcv_wnd"`
	Acked         uint64  `json:"bytes_acked"`
	Received      uint64  `json:"bytes_received"`
	Retransmitted uint64  `json:"bytes_retrans"`
	SegmentsOut   uint64  `json:"segs_out"`
	SegmentsIn    uint64  `json:"segs_in"`
	Retransmits   uint64  `json:"retrans"`
	Timeouts      uint64  `json:"timeouts"`
	LastSent      float64 `json:"lastsnd_ms"`
	LastReceived  float64 `json:"lastrcv_ms"`
	PacingRate    int64   `json:"pacing_rate_bps"`
	DeliveryRate  int64   `json:"delivery_rate_bps"`
}

// ConnectionOf is what the stack says of a connection, as it is printed.
func ConnectionOf(c stack.ConnInfo) Connection {
	return Connection{
		State: c.State.String(), Local: c.Local.String(), Remote: c.Remote.String(),
		RecvQueue: c.RecvQueue, SendQueue: c.NotSent + c.Flight + c.Sacked + c.LostOctets,
		CC: c.Congestion, Recovery: c.Recovery,
		Timestamps: c.Options.Timestamps, SACK: c.Options.SACK, ECN: c.Options.ECN,
		SendScale: c.SendScale, RecvScale: c.RecvScale,
		RTO: ms(c.RTO), RTT: ms(c.RTT), RTTVar: ms(c.RTTVar), MinRTT: ms(c.MinRTT),
		MSS: c.SendMSS, RecvMSS: c.RecvMSS, Cwnd: c.Cwnd, Ssthresh: c.Ssthresh, Flight: c.Flight,
		SendWindow: c.SendWindow, RecvWindow: c.RecvWindow,
		Acked: c.OctetsAcked, Received: c.OctetsReceived, Retransmitted: c.OctetsRetransmitted,
		SegmentsOut: c.SegmentsOut, SegmentsIn: c.SegmentsIn,
		Retransmits: c.SegmentsRetransmitted, Timeouts: c.Timeouts,
		LastSent: ms(c.LastSent), LastReceived: ms(c.LastReceived),
		PacingRate: c.PacingRate * 8, DeliveryRate: c.DeliveryRate * 8,
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Dir is where the sockets of this user's instances are: /run/millrace for root, below
// XDG_RUNTIME_DIR for others, else below the directory of temporary files.
func Dir() string {
	if os.Getuid() == 0 {
		return "/run/millrace"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "millrace")
	}
	return filepath.Join(os.TempDir(), "millrace-"+strconv.Itoa(os.Getuid()))
}

const suffix = ".sock"

// socketOf is the socket of a process, which may have several: n counts them.
func socketOf(dir string, pid, n int) string {
	return filepath.Join(dir, strconv.Itoa(pid)+"."+strconv.Itoa(n)+suffix)
}

// ownerOf is the process that a socket's name speaks of, 0 if it is none of ours.
func ownerOf(name string) int {
	rest, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return 0
	}
	pid, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(pid)
	if err != nil || n <= 0 {
		return 0
	}
	return n
}
