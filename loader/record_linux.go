package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// record is the note of what a process has changed of an interface. The process has the file
// locked as long as it lives: a record that is not locked was left by one that was killed.
type record struct {
	file *os.File
	path string
	mac  string
	left []Change // of a process that was killed
}

// note is what a record holds.
type note struct {
	MAC     string   `json:"mac"` // so that an interface which has index and namespace of one that went is told from it
	Changes []Change `json:"changes"`
}

// recordMax is the longest record that is read: a thousand settings.
const recordMax = 1 << 17

// recordPath names the record of an interface of the calling thread's network namespace.
func recordPath(dir string, nic NICInfo) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", fmt.Errorf("ask for the network namespace: %w", err)
	}
	return filepath.Join(dir, fmt.Sprintf("%d-%d.json", st.Ino, nic.Index)), nil
}

// openRecord takes the record of an interface over, or begins one.
func openRecord(dir string, nic NICInfo) (*record, error) {
	path, err := recordPath(dir, nic)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s, which another process has: %w", path, err), f.Close())
		}
		if !removed(f, path) {
			r := &record{file: f, path: path, mac: nic.MAC.String()}
			r.left = r.read()
			return r, nil
		}
		_ = f.Close() // Who had it took it away between our opening and locking it.
	}
}

// removed says whether the file is not what path names.
func removed(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(path)
	return err != nil || !os.SameFile(ours, named)
}

// read returns what a record says. One that is no record, or of another interface, says nothing.
func (r *record) read() []Change {
	b, err := io.ReadAll(io.NewSectionReader(r.file, 0, recordMax))
	var n note
	if err != nil || json.Unmarshal(b, &n) != nil || n.MAC != r.mac {
		return nil
	}
	return n.Changes
}

func (r *record) write(changes []Change) error {
	b, err := json.Marshal(note{r.mac, changes})
	if err == nil {
		err = r.file.Truncate(0)
	}
	if err == nil {
		_, err = r.file.WriteAt(b, 0)
	}
	if err != nil {
		return fmt.Errorf("note what is to be changed: %w", err)
	}
	return nil
}

// close ends the record, and takes it away if all that it tells of was given back.
func (r *record) close(done bool) error {
	var err error
	if done {
		err = os.Remove(r.path)
	}
	return errors.Join(err, r.file.Close())
}

// Changes returns what processes that Tune with this dir have changed of an interface of the calling
// thread's network namespace, and whether such a process still runs; else it was killed.
func Changes(dir string, nic NICInfo) (changes []Change, running bool, err error) {
	path, err := recordPath(dir, nic)
	if err != nil {
		return nil, false, fmt.Errorf("loader: settings of %s: %w", nic.Name, err)
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("loader: settings of %s: %w", nic.Name, err)
	}
	defer f.Close()
	// This only asks, and so is in nobody's way.
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return nil, false, fmt.Errorf("loader: settings of %s: %w", nic.Name, err)
	}
	r := record{file: f, mac: nic.MAC.String()}
	return r.read(), lock.Type != unix.F_UNLCK, nil
}
