package loader

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SettingsDir is where the processes of a machine note what they have changed.
const SettingsDir = "/run/millrace/settings"

// Tuning is settings of an interface that this process has changed. It has them open, and so finds
// them whatever namespace the thread is in, and whatever the interface is called by then.
type Tuning struct {
	nic     NICInfo
	changes []Change
	knobs   []knob // of changes
	record  *record
}

// Tune changes settings of an interface of the calling thread's network namespace, until Close.
// What somebody has set already, which is what is not zero, is left as it is. Before the first
// change a record is written, in dir: a process that is killed cannot give back what it changed,
// but the next Tune of the interface does, and Changes tells of it.
func Tune(dir string, nic NICInfo, want []Setting) (*Tuning, error) {
	t := &Tuning{nic: nic}
	if left, _, err := Changes(dir, nic); err == nil && len(want)+len(left) == 0 {
		return t, nil
	}
	if err := t.tune(dir, nic, want); err != nil {
		return nil, errors.Join(fmt.Errorf("loader: change settings of %s: %w", nic.Name, err), t.Close())
	}
	return t, nil
}

func (t *Tuning) tune(dir string, nic NICInfo, want []Setting) (err error) {
	if t.record, err = openRecord(dir, nic); err != nil {
		return err
	}
	sys, err := openSys()
	if err != nil {
		return err
	}
	defer unix.Close(sys)
	if err := t.mend(sys); err != nil {
		return err
	}
	for _, s := range want {
		if err := t.add(sys, s); err != nil {
			return err
		}
	}
	if err := t.record.write(t.changes); err != nil {
		return err
	}
	for i, c := range t.changes {
		if err := t.knobs[i].set(c.Value); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	return nil
}

// mend gives back what a process that was killed has changed.
func (t *Tuning) mend(sys int) error {
	for _, c := range t.record.left {
		k, err := t.open(sys, c.Name)
		if k == nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(giveBack(k, c), k.close()); err != nil {
			return err
		}
	}
	t.record.left = nil
	return nil
}

// add notes that a setting is to be changed, unless somebody has set it. An indirection table that
// nobody has set looks like any other, and so is changed by who asks for it.
func (t *Tuning) add(sys int, s Setting) error {
	k, err := t.open(sys, s.Name)
	if k == nil {
		return err
	}
	before, err := k.value()
	if err != nil || s.Name != tableSetting && canonical(before) != "" {
		return errors.Join(err, k.close())
	}
	t.changes = append(t.changes, Change{s, before})
	t.knobs = append(t.knobs, k)
	return nil
}

// open opens a setting. There is none, and no error, where the kernel has none.
func (t *Tuning) open(sys int, name string) (knob, error) {
	if name == tableSetting {
		return openTable(t.nic.Index)
	}
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%q is no name of a setting", name)
	}
	fd, err := unix.Openat(sys, path.Join("class/net", t.nic.Name, name), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return fileKnob{os.NewFile(uintptr(fd), name)}, nil
}

// giveBack sets what was there before, unless somebody else has changed it since. That the
// interface is gone is no error.
func giveBack(k knob, c Change) error {
	now, err := k.value()
	if err == nil && canonical(now) == canonical(c.Value) {
		err = k.set(c.Before)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("give %s back: %w", c.Name, err)
	}
	return nil
}

// Changes returns what was changed.
func (t *Tuning) Changes() []Change { return t.changes }

// Close gives back what was changed, but for what somebody else has changed since.
func (t *Tuning) Close() error {
	var errs []error
	for i, k := range t.knobs {
		errs = append(errs, giveBack(k, t.changes[i]), k.close())
	}
	t.knobs = nil
	err := errors.Join(errs...)
	if t.record != nil {
		err = errors.Join(err, t.record.close(err == nil && t.record.left == nil))
		t.record = nil
	}
	if err != nil {
		return fmt.Errorf("loader: settings of %s: %w", t.nic.Name, err)
	}
	return nil
}

// openSys opens the file system of devices as the calling thread's network namespace sees it. It
// is mounted nowhere, and goes when it is closed: what is mounted at /sys may be that of another
// namespace, with an interface of the same name.
func openSys() (int, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open sysfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("make sysfs: %w", err)
	}
	sys, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, fmt.Errorf("mount sysfs: %w", err)
	}
	return sys, nil
}
