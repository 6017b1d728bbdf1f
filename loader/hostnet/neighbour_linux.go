package hostnet

import (
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// wantsMax is how many requests may wait; more are dropped and come again.
	wantsMax = 256
	// askAgain is the least time between two requests for one neighbour: that of the
	// kernel between two solicitations (RFC 4861, RETRANS_TIMER; arp(7)).
	askAgain = time.Second
	// askedMax bounds the different neighbours asked for within askAgain, so that a
	// flood from forged addresses does not fill the kernel's table: its own default is
	// 1,024 entries (gc_thresh3).
	askedMax = 256
	// confirmMax is how many stale neighbours are confirmed in one tick.
	confirmMax = 128
)

// resolve asks the kernel to find a neighbour's MAC.
func (v *View) resolve(next netip.Addr, now time.Time) {
	if at, ok := v.asked[next]; ok && now.Sub(at) < askAgain {
		return
	}
	if v.current.Load().neighbours[next] != nil {
		return // known meanwhile
	}
	if len(v.asked) >= askedMax {
		v.forget(now)
		if len(v.asked) >= askedMax {
			return
		}
	}
	v.asked[next] = now
	if err := v.use(next); err != nil {
		v.log.Warn("hostnet: the kernel does not look for a neighbour", "neighbour", next, "error", err)
	}
}

// forget drops requests that may be made again anyway.
func (v *View) forget(now time.Time) {
	for a, at := range v.asked {
		if now.Sub(at) >= askAgain {
			delete(v.asked, a)
		}
	}
}

// confirm has the kernel ask stale neighbours that workers send to whether they are there.
// The kernel does so itself for its own traffic only, and would keep a MAC that has moved,
// or forget one in use.
func (v *View) confirm() {
	known, epoch := v.current.Load().neighbours, v.epoch.Load()
	asked := 0
	for _, a := range v.stale {
		n := known[a]
		if n == nil || n.used.Load() == 0 || epoch-n.used.Load() > inUse {
			continue
		}
		if asked++; asked > confirmMax {
			return
		}
		if err := v.use(a); err != nil {
			v.log.Warn("hostnet: the kernel does not confirm a neighbour", "neighbour", a, "error", err)
		}
	}
}

// use tells the kernel that a neighbour is sent to. An unknown one is created and looked
// for; a stale one is asked after a few seconds.
func (v *View) use(a netip.Addr) error {
	return v.kernel.NeighSet(&netlink.Neigh{
		LinkIndex: v.index,
		IP:        a.AsSlice(),
		State:     unix.NUD_NONE,
		Flags:     unix.NTF_USE,
	})
}
