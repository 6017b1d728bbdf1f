package millrace

import (
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/loader"
)

// tune changes the settings of the interface that help. It works without, and so a refusal is a
// remark: in a container, or without CAP_SYS_ADMIN, the kernel lets nobody change them.
func (n *NIC) tune(cfg Config) {
	if cfg.KeepSettings {
		return
	}
	want := loader.SteerSettings(n.probe, n.prog.Mode(), processors())
	if cfg.BusyPoll {
		want = append(want, loader.PollSettings()...)
	}
	var err error
	if n.tuning, err = loader.Tune(loader.SettingsDir, n.probe, want); err != nil {
		n.info.Notes = append(n.info.Notes, "settings of the interface are left as they are: "+err.Error())
		return
	}
	for _, c := range n.tuning.Changes() {
		n.info.Notes = append(n.info.Notes, "until it is closed: "+c.String())
	}
}

// processors is the numbers of those that this thread may run on.
func processors() (numbers []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for p := range len(set) * 64 {
		if set.IsSet(p) {
			numbers = append(numbers, p)
		}
	}
	return numbers
}
