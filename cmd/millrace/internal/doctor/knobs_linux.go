package doctor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/loader"
)

func kernelVersion() version {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return version{release: err.Error()}
	}
	return parseVersion(unix.ByteSliceToString(u.Release[:]))
}

// openSocket opens an AF_XDP socket and closes it.
func openSocket() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("doctor: open an AF_XDP socket: %w", err)
	}
	return unix.Close(fd)
}

// readInt reads a number out of the kernel's file system, -1 if there is none.
func readInt(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return n
}

// accessPlatform is VIRTIO_F_ACCESS_PLATFORM of linux/virtio_config.h: memory is mapped for the
// device as it is for any other.
const accessPlatform = 33

// virtioLacks says whether a file that lists the features of a virtio device, a digit each, has
// one of them off.
func virtioLacks(file string, feature int) bool {
	b, err := os.ReadFile(file)
	return err == nil && len(b) > feature && b[feature] == '0'
}

func readKnobs(nic loader.NICInfo) knobs {
	dir := filepath.Join("/sys/class/net", nic.Name)
	there := func(file string) bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	}
	k := knobs{
		deferIRQs: readInt(filepath.Join(dir, "napi_defer_hard_irqs")), groTimeout: readInt(filepath.Join(dir, "gro_flush_timeout")),
		wireless: there("wireless") || there("phy80211"), bondMember: there("bonding_slave"), bridgePort: there("brport"),
	}
	if i, err := net.InterfaceByName(nic.Name); err == nil {
		addrs, _ := i.Addrs() // none is what is said of an error too
		for _, a := range addrs {
			k.addresses = append(k.addresses, a.String())
		}
	}
	k.direct = nic.Driver == "virtio_net" && virtioLacks(filepath.Join(dir, "device/features"), accessPlatform)
	// A record that cannot be read tells nothing.
	k.changes, k.running, _ = loader.Changes(loader.SettingsDir, nic)
	return k
}
