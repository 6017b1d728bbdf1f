package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// How an interface can be opened, as records name it.
const (
	ZeroCopyMode = "zerocopy"
	CopyMode     = "copy" // XDP in the driver
	GenericMode  = "generic"
)

// ModeRecord is what was measured of the modes of a driver: millrace bench modes --record writes
// it, and Choose goes by it, on the kernel on which it was measured.
type ModeRecord struct {
	Driver   string        `json:"driver"`
	Kernel   string        `json:"kernel"` // its release
	Best     string        `json:"best"`   // one of the modes
	Link     string        `json:"link"`   // what it was measured on
	Measured time.Time     `json:"measured"`
	Modes    []ModeFigures `json:"modes"`
}

// ModeFigures is what a mode moves, and takes. A mode that was refused has none.
type ModeFigures struct {
	Mode    string  `json:"mode"`
	Refused string  `json:"refused,omitempty"`
	Receive float64 `json:"receive_bps"`
	Send    float64 `json:"send_bps"`
	Rate    float64 `json:"messages_per_second"`
	// Cost is what of the processors it takes for the same work, to that of the mode that takes
	// least: 1 and more.
	Cost float64 `json:"cost"`
}

// String sums the figures up.
func (f ModeFigures) String() string {
	if f.Refused != "" {
		return "refused"
	}
	return fmt.Sprintf("receive %.2f, send %.2f Gbit/s, %.0f messages/s", f.Receive/1e9, f.Send/1e9, f.Rate)
}

const (
	// modesFile is the name of the file that has the records, below StateDir.
	modesFile = "modes.json"
	// modesOctets bounds it, and modesMax how many drivers it has: each takes less than 2 KiB.
	modesOctets = 1 << 20
	modesMax    = 256
)

// StateDir is where what was measured outlives the process: STATE_DIRECTORY, which systemd sets,
// /var/lib/millrace for root, else below XDG_STATE_HOME. "" is nowhere.
func StateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/var/lib/millrace"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "millrace")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".local", "state", "millrace")
}

// ModeRecords reads the records below a directory. That there are none is no error.
func ModeRecords(dir string) ([]ModeRecord, error) {
	f, err := os.Open(filepath.Join(dir, modesFile))
	if errors.Is(err, os.ErrNotExist) || dir == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loader: read what was measured: %w", err)
	}
	defer f.Close()
	var all []ModeRecord
	if err := json.NewDecoder(io.LimitReader(f, modesOctets)).Decode(&all); err != nil {
		return nil, fmt.Errorf("loader: read what was measured: %s: %w", f.Name(), err)
	}
	return all[:min(len(all), modesMax)], nil
}

// RecordMode writes a record below a directory, in the place of an earlier one of the same driver.
func RecordMode(dir string, r ModeRecord) error {
	all, err := ModeRecords(dir)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o ModeRecord) bool { return o.Driver == r.Driver })
	all = append(all, r)
	b, err := json.MarshalIndent(all[max(0, len(all)-modesMax):], "", "\t")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = replaceFile(filepath.Join(dir, modesFile), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("loader: record what was measured: %w", err)
	}
	return nil
}

// replaceFile writes a file of which nobody sees a half.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is wrong is known already
	}
	return err
}

// choice is what a record says of how its driver is best opened.
func (r *ModeRecord) choice() (Choice, bool) {
	at := slices.IndexFunc(r.Modes, func(f ModeFigures) bool { return f.Mode == r.Best })
	if at < 0 {
		return Choice{}, false
	}
	c := Choice{Measured: true, Why: fmt.Sprintf("measured on %s, %s: %v", r.Link, r.Measured.UTC().Format(time.DateOnly), r.Modes[at])}
	switch r.Best {
	case ZeroCopyMode:
		c.ZeroCopy = true
	case CopyMode:
	case GenericMode:
		c.Mode = Generic
	default:
		return Choice{}, false
	}
	return c, true
}
