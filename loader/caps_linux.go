package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// capabilities are what opening a NIC takes, with what each is for.
var capabilities = []struct {
	bits []int // any of them
	name string
	need string
}{
	{[]int{unix.CAP_NET_ADMIN}, "CAP_NET_ADMIN", "attach XDP"},
	{[]int{unix.CAP_BPF, unix.CAP_SYS_ADMIN}, "CAP_BPF (or CAP_SYS_ADMIN)", "load the program"},
	{[]int{unix.CAP_NET_RAW}, "CAP_NET_RAW", "open AF_XDP sockets"},
}

// MissingCapabilities returns what this process lacks to open a NIC, each with its use. In
// a user namespace other than the first, having all is not enough.
func MissingCapabilities() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return nil
	}
	has := func(bit int) bool { return sets[bit/32].Effective&(1<<(bit%32)) != 0 }
	var missing []string
	for _, c := range capabilities {
		found := false
		for _, bit := range c.bits {
			found = found || has(bit)
		}
		if !found {
			missing = append(missing, fmt.Sprintf("%s to %s", c.name, c.need))
		}
	}
	return missing
}

// explain adds the remedy to a refusal for want of rights.
func explain(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if missing := MissingCapabilities(); len(missing) > 0 {
		return fmt.Errorf("%w: run as root, or give the process %s", err, strings.Join(missing, ", "))
	}
	return fmt.Errorf("%w: all capabilities are there; a container's seccomp filter, a user namespace or kernel lockdown forbids it", err)
}
