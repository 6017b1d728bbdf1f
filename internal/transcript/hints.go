package transcript

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// hints are the settings of a script's commands that this stack has. What they do not say
// is as packetdrill's scripts have it by default.
type hints struct {
	tcp        tcp.Config
	recv       [2]int // initial and largest buffer, in octets of data
	send       [2]int
	mtu        int
	congestion string
	cookies    engine.Cookies
}

// setting is one name=value of a command.
var setting = regexp.MustCompile(`(?:net[./]ipv4[./])?(tcp_[a-z_0-9]+|mtu)[= ]("[^"]*"|[^ "]+)`)

// readHints reads the commands that stand before the first connection: settings do not
// change while a script runs.
func readHints(s *pktdrill.Script) hints {
	// As Linux does unless told otherwise: CUBIC, and no search for black holes.
	h := hints{tcp: tcp.Config{NoPathSearch: true}, congestion: "cubic", recv: [2]int{540_000 / 2, 15 << 20}, send: [2]int{256 << 10, 4 << 20}, mtu: 1500}
	if v, ok := s.Option("mtu"); ok {
		h.mtu = atoi(v, h.mtu)
	}
	h.command(s.File, s.Init)
	for i := range s.Events {
		h.command(s.File, s.Events[i].Command)
	}
	return h
}

// shellScript is the name of a script among the words of a command.
var shellScript = regexp.MustCompile(`[^\s;"'` + "`" + `]+\.sh\b`)

// shellScriptMax bounds what is read of a script that a command runs.
const shellScriptMax = 64 << 10

// command reads a command of the script file, and before it the shell scripts that it runs,
// if they lie beside the script file: many suites keep their settings in one.
func (h *hints) command(file, command string) {
	for _, name := range shellScript.FindAllString(command, -1) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(file), name)
		}
		if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() || info.Size() > shellScriptMax {
			continue
		}
		if text, err := os.ReadFile(name); err == nil {
			h.read(string(text))
		}
	}
	h.read(command)
}

func (h *hints) read(command string) {
	for _, m := range setting.FindAllStringSubmatch(command, -1) {
		h.set(m[1], strings.Fields(strings.Trim(m[2], `"`)))
	}
}

// set takes one setting; those that this stack does not have change nothing.
func (h *hints) set(name string, values []string) {
	if len(values) == 0 {
		return
	}
	n := atoi(values[0], -1)
	switch name {
	case "tcp_mtu_probing":
		h.tcp.NoPathSearch = n == 0
	case "tcp_syncookies":
		h.cookies = cookieMode(n)
	case "tcp_timestamps":
		h.tcp.NoTimestamps = n == 0
	case "tcp_sack":
		h.tcp.NoSACK = n == 0
	case "tcp_window_scaling":
		h.tcp.NoWindowScale = n == 0
	case "tcp_frto":
		h.tcp.NoFRTO = n == 0
	case "tcp_early_retrans":
		h.tcp.NoTLP = n == 0
	case "tcp_recovery":
		if n == 0 {
			h.tcp.Detector = tcp.DetectSACK
		}
	case "tcp_ecn":
		h.tcp.ECN = ecnMode(n)
	case "tcp_ecn_option":
		h.tcp.NoECNOption = n == 0
	case "tcp_slow_start_after_idle":
		h.tcp.Idle = tcp.IdleRestart
		if n == 0 {
			h.tcp.Idle = tcp.IdleKeep
		}
	case "tcp_congestion_control":
		h.congestion = values[0]
	case "tcp_syn_retries":
		h.tcp.SYNRetries = max(n, 1)
	case "tcp_synack_retries":
		h.tcp.SYNACKRetries = max(n, 1)
	case "tcp_retries2":
		h.tcp.Retries = max(n, 1)
	case "tcp_fin_timeout":
		h.tcp.FinWait2 = time.Duration(max(n, 1)) * time.Second
	case "tcp_rto_min_us":
		h.tcp.RTOMin = time.Duration(n) * time.Microsecond
	case "tcp_rmem":
		// Linux counts buffers with their administration: half is data.
		if len(values) == 3 {
			h.recv = [2]int{max(atoi(values[1], 0)/2, 2304), atoi(values[2], h.recv[1])}
		}
	case "tcp_wmem":
		if len(values) == 3 {
			h.send = [2]int{max(atoi(values[1], h.send[0]), 2304), atoi(values[2], h.send[1])}
		}
	case "mtu":
		if n > 0 {
			h.mtu = n
		}
	}
}

// cookieMode translates tcp_syncookies.
func cookieMode(n int) engine.Cookies {
	switch n {
	case 0:
		return engine.CookiesNever
	case 2:
		return engine.CookiesAlways
	}
	return engine.CookiesWhenFull
}

// ecnMode translates tcp_ecn as Linux 6.18 numbers it.
func ecnMode(n int) tcp.ECNMode {
	switch n {
	case 1:
		return tcp.ECNClassic
	case 2, 5:
		return tcp.ECNPassive
	case 3:
		return tcp.ECNAccurate
	}
	return tcp.ECNOff
}

// atoi reads a number, or a product in the shell's arithmetic: $((4*1024)).
func atoi(s string, otherwise int) int {
	s = strings.TrimSuffix(s, ";")
	if body, ok := strings.CutPrefix(s, "$(("); ok {
		s = strings.TrimSuffix(body, "))")
	}
	product := 1
	for _, factor := range strings.Split(s, "*") {
		n, err := strconv.Atoi(factor)
		if err != nil {
			return otherwise
		}
		product *= n
	}
	return product
}

// algorithm returns the congestion control of a name: Reno for what this stack does not
// have.
func algorithm(name string) func() congestion.Algorithm {
	// Linux's count every segment that an ACK acknowledges in slow start, however many.
	for _, try := range []string{name + "?L=64", name} {
		if _, maker, err := catalog.All().Parse(try); err == nil {
			return maker
		}
	}
	_, maker, err := catalog.All().Parse("reno?L=64")
	if err != nil {
		panic("BUG: transcript: " + err.Error())
	}
	return maker
}

// engine is the configuration that the hints make.
func (h *hints) engine() engine.Config {
	cfg := engine.Config{
		TCP: h.tcp, Key: [16]byte{1, 2, 3}, RecvBuffer: h.recv[0], RecvMax: h.recv[1],
		SendBuffer: h.send[0], SendMax: h.send[1], Cookies: h.cookies,
	}
	if h.congestion != "" {
		cfg.TCP.Congestion = algorithm(h.congestion)
	}
	return cfg
}
