package millrace

import (
	"github.com/millrace-tcp/millrace/internal/pin"
	"github.com/millrace-tcp/millrace/loader"
)

// tune changes the settings of the interface that help. It works without, and so a refusal is a
// remark: in a container, or without CAP_SYS_ADMIN, the kernel lets nobody change them.
func (n *NIC) tune(cfg Config) {
	if cfg.KeepSettings {
		return
	}
	var want []loader.Setting
	if cfg.SteerFlows {
		// Where they cannot be asked for there are none to steer to.
		processors, _ := pin.Allowed()
		want = loader.SteerSettings(n.probe, n.prog.Mode(), processors)
	}
	if cfg.BusyPoll {
		want = append(want, loader.PollSettings()...)
	}
	var err error
	if serve := loader.ServeSettings(n.spread.Spreading(), len(n.ports)); len(serve) > 0 {
		if n.tuning, err = loader.Tune(loader.SettingsDir, n.probe, append(serve, want...)); err == nil {
			n.tell()
			return
		}
		// A kernel before 6.17, or a driver that does not let us: the others are made all the same.
		n.info.Notes = append(n.info.Notes, "RSS is left as it is: "+err.Error())
	}
	if n.tuning, err = loader.Tune(loader.SettingsDir, n.probe, want); err != nil {
		n.info.Notes = append(n.info.Notes, "settings of the interface are left as they are: "+err.Error())
		return
	}
	n.tell()
}

// tell notes what is changed.
func (n *NIC) tell() {
	for _, c := range n.tuning.Changes() {
		n.info.Notes = append(n.info.Notes, "until it is closed: "+c.String())
	}
}
