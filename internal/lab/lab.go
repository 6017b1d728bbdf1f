// Package lab makes the network that root tests and the demo run in: two network
// namespaces joined by a veth pair, with addresses that work at once. The pair is born
// inside the namespaces, so that the machine's own interfaces are never touched.
//
// The namespaces are named as those of ip-netns(8), millrace-NAME-a and millrace-NAME-b
// below /run/netns, and outlive the process until Down: "ip netns exec" and other
// processes (Find) see them too. Labs of different names exist beside each other.
package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
)

const (
	// DefaultName is the name of a lab that was given none.
	DefaultName = "lab"
	// DefaultMTU is that of Ethernet.
	DefaultMTU = 1500
	// NameMax is the longest name of a lab, in octets: far below what a file name holds.
	NameMax = 48
	// QueuesMax bounds the queues of each end. More than 64 cores do not serve one veth.
	QueuesMax = 64

	mtuMin  = 68 // RFC 791, section 3.2
	mtuMax  = 65535
	mtuMin6 = 1280 // RFC 8200, section 5; below it there is no IPv6 on the link

	netnsDir = "/run/netns"
	prefix   = "millrace-"
)

// ErrExists is what Up wraps when a lab of that name, or what is left of one, is there. It
// is an fs.ErrExist.
var ErrExists error = sentinel{"lab exists", fs.ErrExist}

// ErrNotFound is what Find wraps when there is no lab of that name. It is an
// fs.ErrNotExist.
var ErrNotFound error = sentinel{"no such lab", fs.ErrNotExist}

// sentinel is an error that is a kind of another one without repeating its words.
type sentinel struct {
	text string
	kind error
}

func (s sentinel) Error() string { return s.text }
func (s sentinel) Unwrap() error { return s.kind }

// Config says what lab to make. The zero value is a lab named DefaultName with one queue
// at each end, at DefaultMTU.
type Config struct {
	// Name is lower-case letters, digits and hyphens, at most NameMax of them.
	Name string
	// MTU is that of both ends, 68 to 65535 octets. Below 1280 there is no IPv6.
	MTU int
	// Queues is how many receive and how many transmit queues each end has.
	Queues int
	// NICs are two interfaces of the calling process's namespace that a cable joins. They take
	// the place of a veth pair until Down, which brings them back; they have all their queues,
	// and must have as many as asked for. Nobody else may use them.
	NICs [2]string
}

// Lab is two hosts on one link. Its methods may be called by several goroutines.
type Lab struct {
	Name   string
	MTU    int
	Queues int
	A, B   *Host

	nics [2]nic // what the hosts' interfaces were before

	mu       sync.Mutex
	children []*os.Process // started by this process; killed by Down
}

// Host is one end of a lab: a namespace and its interface. It does not change.
type Host struct {
	Side      string // "a" or "b"
	Namespace string // as "ip netns" lists it
	Path      string // of the namespace, below /run/netns
	Interface string // within the namespace
	Index     int    // of the interface, within the namespace
	MAC       net.HardwareAddr
	IP4       netip.Prefix // 10.77.0.1/24 or 10.77.0.2/24
	IP6       netip.Prefix // fd77::1/64 or fd77::2/64; invalid where there is no IPv6

	lab *Lab
}

// nic is an interface that a lab has borrowed, as it was before. One without a name is none.
type nic struct {
	name  string
	mtu   int
	up    bool
	taken bool
}

// Up makes a lab. It needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN. When it fails,
// nothing of the lab is left.
func Up(cfg Config) (*Lab, error) {
	if cfg.Name == "" {
		cfg.Name = DefaultName
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.Queues == 0 {
		cfg.Queues = 1
	}
	if err := checkConfig(cfg); err != nil {
		return nil, fmt.Errorf("lab: make %q: %w", cfg.Name, err)
	}
	l := newLab(cfg.Name)
	l.MTU, l.Queues = cfg.MTU, cfg.Queues
	for i, h := range []*Host{l.A, l.B} {
		l.nics[i].name = cfg.NICs[i]
		if cfg.NICs[i] != "" {
			h.Interface = cfg.NICs[i]
		}
	}
	if err := up(l); err != nil {
		if !errors.Is(err, ErrExists) {
			err = errors.Join(err, bringBack(l), down(l.Name))
		}
		return nil, fmt.Errorf("lab: make %q: %w", cfg.Name, withRemedy(err))
	}
	return l, nil
}

// Find returns the lab of that name, which any process may have made. An empty name is
// DefaultName.
func Find(name string) (*Lab, error) {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("lab: find %q: %w", name, err)
	}
	l := newLab(name)
	if err := find(l); err != nil {
		return nil, fmt.Errorf("lab: find %q: %w", name, withRemedy(err))
	}
	return l, nil
}

// List returns the names of the labs that are up, in order.
func List() ([]string, error) {
	names, err := list()
	if err != nil {
		return nil, fmt.Errorf("lab: list: %w", err)
	}
	return names, nil
}

// Remove takes the lab of that name away, or what a process that was killed left of it.
// That there is none is no error.
func Remove(name string) error {
	if name == "" {
		name = DefaultName
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("lab: remove %q: %w", name, err)
	}
	if err := down(name); err != nil {
		return fmt.Errorf("lab: remove %q: %w", name, withRemedy(err))
	}
	return nil
}

// Down kills the programs that this process started in the lab and are still running, and
// takes the lab away. A second Down finds nothing to do. Programs that others run in the
// namespaces go on without the link.
func (l *Lab) Down() error {
	l.mu.Lock()
	children := l.children
	l.children = nil
	l.mu.Unlock()
	for _, p := range children {
		// One that has ended and was waited for says so: that is as good.
		_ = p.Kill()
	}
	if err := bringBack(l); err != nil {
		return fmt.Errorf("lab: remove %q: %w", l.Name, err)
	}
	return Remove(l.Name)
}

func newLab(name string) *Lab {
	l := &Lab{Name: name}
	l.A, l.B = newHost(l, "a", 1), newHost(l, "b", 2)
	return l
}

func newHost(l *Lab, side string, n byte) *Host {
	ns := prefix + l.Name + "-" + side
	return &Host{
		Side:      side,
		Namespace: ns,
		Path:      netnsDir + "/" + ns,
		Interface: "veth-" + side,
		// Locally administered, and the same in every lab: captures read alike.
		MAC: net.HardwareAddr{0x02, 'm', 'r', 0, 0, n},
		IP4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 77, 0, n}), 24),
		IP6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x77, 15: n}), 64),
		lab: l,
	}
}

func checkConfig(cfg Config) error {
	if err := checkName(cfg.Name); err != nil {
		return err
	}
	if cfg.MTU < mtuMin || cfg.MTU > mtuMax {
		return fmt.Errorf("MTU %d is not from %d to %d", cfg.MTU, mtuMin, mtuMax)
	}
	if (cfg.NICs[0] == "") != (cfg.NICs[1] == "") || cfg.NICs[0] != "" && cfg.NICs[0] == cfg.NICs[1] {
		return fmt.Errorf("NICs %q are not two", cfg.NICs)
	}
	if cfg.Queues < 1 || cfg.Queues > QueuesMax {
		return fmt.Errorf("%d queues is not from 1 to %d", cfg.Queues, QueuesMax)
	}
	return nil
}

// checkName keeps names to what is safe as part of a path.
func checkName(name string) error {
	if len(name) > NameMax {
		return fmt.Errorf("the name is longer than %d octets", NameMax)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("the name has %q: use a-z, 0-9 and hyphens", c)
		}
	}
	return nil
}

// withRemedy adds to a refusal of the kernel what would have been needed.
func withRemedy(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)", err)
	}
	return err
}
