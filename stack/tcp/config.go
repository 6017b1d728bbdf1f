package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// Config is what connections have in common. The zero value of a field is its documented
// default, which WithDefaults fills in. A Conn keeps the pointer: do not change it after.
type Config struct {
	// Congestion makes the algorithm of a connection; nil is Reno.
	Congestion func() congestion.Algorithm

	// Shadow makes a second algorithm that looks on: it hears what the first hears, and what it
	// would have set is shown by Info, and recorded. nil is none.
	Shadow func() congestion.Algorithm

	// RTOInitial is the retransmission time-out before the first measurement: 1 s.
	RTOInitial time.Duration
	// RTOMin is the least by which it exceeds the smoothed round trip: 200 ms, as Linux has it.
	// RFC 6298 says that the whole of it is at least 1 s.
	RTOMin time.Duration
	// RTOMax is its ceiling: 120 s.
	RTOMax time.Duration
	// SYNRetries, SYNACKRetries and Retries are how often a SYN, a SYN with ACK, and data are
	// sent again before the connection is given up: 6, 5 and 15. With 6 a SYN is given up after 127
	// seconds, as Linux does; RFC 9293 has MUST-23 ask for three minutes, which 7 are enough for.
	SYNRetries, SYNACKRetries, Retries int

	// MSL is the maximum segment lifetime: 30 s. TIME_WAIT lasts two of them.
	MSL time.Duration
	// FinWait2 is how long a connection that the application has closed waits for the peer's
	// FIN: 60 s.
	FinWait2 time.Duration

	// DelayedACK is how long an ACK may wait for company: 40 ms. "The delay MUST be less than 0.5
	// seconds" (RFC 9293, section 3.8.6.3): more is taken for that.
	DelayedACK time.Duration
	// AckEvery is how many full-sized segments are acknowledged by one ACK at the most: 2
	// (RFC 9293, section 3.8.6.3). More saves packets and slows senders that count ACKs.
	AckEvery int
	// AckFold is how many full-sized segments that came in order, and all before Output was
	// asked, one ACK may cover: AckEvery if less. What Linux acknowledges once, because GRO
	// made one of it, is up to AckFoldGRO.
	AckFold int

	// MSS bounds the payload of segments either way, as TCP_MAXSEG does; 0 is what the path
	// carries.
	MSS int
	// InitialWindow is the initial congestion window in segments; 0 is RFC 6928.
	InitialWindow int

	// Idle is what becomes of the window of a sender with little to send: IdleRestart.
	Idle IdlePolicy

	// Pace spreads the window of an algorithm that sets no rate over the round trip: twice the
	// window in slow start, 1.2 times it later, as Linux does.
	Pace bool

	// Detector decides what is lost, for peers with SACK; Governor what is sent while in
	// recovery. Without SACK both are those of RFC 6582.
	Detector Detector
	Governor Governor
	// NoTLP turns tail loss probes off (RFC 8985, section 7).
	NoTLP bool
	// NoPathSearch turns off the search for a smaller path MTU when segments of full size vanish
	// without a word (RFC 4821). What routers say is obeyed all the same.
	NoPathSearch bool
	// NoFRTO turns the test of time-outs off (RFC 5682).
	NoFRTO bool

	// ECN is what is asked of explicit congestion notification: ECNPassive, under which an
	// algorithm that is a congestion.MarkReader has ECNAccurate.
	ECN ECNMode

	// NoECNOption leaves out the option of AccECN, which says how many octets were marked: the
	// counter of packets alone is used.
	NoECNOption bool

	// NoTimestamps, NoSACK and NoWindowScale leave the option out.
	NoTimestamps, NoSACK, NoWindowScale bool
}

// Detector decides what is lost.
type Detector uint8

// The detectors.
const (
	DetectRACK   Detector = iota // by time (RFC 8985)
	DetectSACK                   // by three segments above (RFC 6675)
	DetectDupACK                 // by three duplicate ACKs, SACK or not (RFC 6582)
)

// Governor decides how much is sent during fast recovery.
type Governor uint8

// The governors.
const (
	GovernPRR  Governor = iota // in proportion to what is delivered (RFC 9937)
	GovernPipe                 // up to ssthresh (RFC 6675)
)

// WithDefaults returns cfg with its zero fields filled in.
func (cfg Config) WithDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	count := func(n *int, v int) {
		if *n == 0 {
			*n = v
		}
	}
	set(&cfg.RTOInitial, time.Second)
	set(&cfg.RTOMin, 200*time.Millisecond)
	set(&cfg.RTOMax, 120*time.Second)
	set(&cfg.MSL, 30*time.Second)
	set(&cfg.FinWait2, 60*time.Second)
	set(&cfg.DelayedACK, 40*time.Millisecond)
	count(&cfg.SYNRetries, 6)
	count(&cfg.SYNACKRetries, 5)
	count(&cfg.Retries, 15)
	count(&cfg.AckEvery, 2)
	cfg.DelayedACK = min(cfg.DelayedACK, delayedACKMax)
	cfg.AckFold = max(cfg.AckFold, cfg.AckEvery)
	return cfg
}

// AckFoldGRO is how many segments of 1460 octets GRO makes one packet of, at most: 64 KiB.
const AckFoldGRO = 44

// Bounds that are not configured.
const (
	// DefaultMSS is assumed of a peer that sends no MSS option (RFC 9293, section 3.7.1).
	// The same for IPv6, whose 1220 a peer that omits the option may not be able to take.
	DefaultMSS = 536
	// MinMSS is the least that a peer's MSS option is taken for: the smallest IPv4 packet that
	// every path carries (68 octets) less its headers would be 28; 64 leaves room for options.
	MinMSS = 64

	delayedACKMax = 499 * time.Millisecond
	maxShift      = 14 // RFC 7323, section 2.3
	timestampsLen = 12 // the option, padded
	quickACKs     = 16 // as many segments as Linux acknowledges at once in its first phase
	headerMax     = 60
)

// settings are what the application changes while the connection lives.
type settings struct {
	noDelay     bool
	cork        bool
	keepAlive   bool
	keepIdle    time.Duration
	keepEvery   time.Duration
	keepCount   int
	userTimeout time.Duration
	pacingMax   int64 // octets a second; 0: no bound
}

// defaultSettings: keepalive is off; when asked for it is two hours, 75 seconds, ten probes.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.4
func defaultSettings() settings {
	return settings{keepIdle: 2 * time.Hour, keepEvery: 75 * time.Second, keepCount: 10}
}

// scaleFor returns the smallest window scale that can express octets.
func scaleFor(octets int) uint8 {
	shift := uint8(0)
	for octets>>shift > 0xffff && shift < maxShift {
		shift++
	}
	return shift
}
