package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// SpreadView follows how an interface spreads what it receives: ethtool -X and -L change it. Any
// goroutine may call its methods.
//
// The kernel tells of changes of channels since 5.7, and of RSS since 6.17. Before that, who finds
// that a packet came elsewhere than Queue said calls Doubt.
type SpreadView struct {
	index   int
	log     *slog.Logger
	changed func(Spreading)
	sockets sockets
	events  *os.File // nil: the kernel tells of nothing
	current atomic.Pointer[Spreading]
	reading sync.Mutex // one reading at a time
	running sync.WaitGroup
}

// spreadEvent is the longest notification that is read whole. A longer one is cut, cannot be read,
// and so is taken to be about us.
const spreadEvent = 16 << 10

// FollowSpread begins to follow the interface of the calling thread's network namespace that has
// this index, and returns when it is known. changed is called, by one goroutine at a time, with
// each spreading but the first.
func FollowSpread(ifindex int, log *slog.Logger, changed func(Spreading)) (*SpreadView, error) {
	v := &SpreadView{index: ifindex, log: log, changed: changed}
	if err := v.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("loader: follow the queues of interface %d: %w", ifindex, err), v.Close())
	}
	if v.events != nil {
		v.running.Go(v.follow)
	}
	return v, nil
}

// open subscribes before it reads, so that no change falls between.
func (v *SpreadView) open() (err error) {
	v.current.Store(&Spreading{})
	if v.sockets, err = openSockets(); err != nil {
		return err
	}
	if v.events, err = subscribe(); err != nil {
		return err
	}
	s, err := v.read()
	if err != nil {
		v.log.Warn("loader: it is not known how packets are spread over queues", "err", err)
	}
	v.current.Store(&s)
	return nil
}

// subscribe opens the socket on which the kernel tells what ethtool has changed.
func subscribe() (*os.File, error) {
	family, err := netlink.GenlFamilyGet(unix.ETHTOOL_GENL_NAME)
	if err != nil && unknown(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look ethtool's netlink up: %w", err)
	}
	at := slices.IndexFunc(family.Groups, func(g netlink.GenlMulticastGroup) bool {
		return g.Name == unix.ETHTOOL_MCGRP_MONITOR_NAME
	})
	if at < 0 {
		return nil, nil
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(family.Groups[at].ID))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to ethtool's netlink: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "ethtool netlink"), nil
}

// follow is the goroutine that reads notifications. It takes from them only that something has
// changed: what it is now is asked for, so that none that was lost leaves a wrong view.
func (v *SpreadView) follow() {
	buf := make([]byte, spreadEvent)
	for {
		n, err := v.events.Read(buf)
		switch {
		case err == nil:
			if !tellsOf(buf[:n], v.index) {
				continue
			}
		case errors.Is(err, os.ErrDeadlineExceeded): // by Doubt
			_ = v.events.SetReadDeadline(time.Time{})
		case errors.Is(err, unix.ENOBUFS):
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, os.ErrClosed):
			return
		default:
			v.log.Error("loader: changes of the queues are no longer followed", "err", err)
			return
		}
		v.Refresh()
	}
}

// tellsOf says whether notifications are about an interface. Those that cannot be read are.
func tellsOf(b []byte, ifindex int) bool {
	msgs, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return true
	}
	for _, m := range msgs {
		if len(m.Data) < nl.SizeofGenlmsg || about(m.Data[nl.SizeofGenlmsg:], ifindex) {
			return true
		}
	}
	return false
}

// about reads the header that each message of ethtool begins with.
func about(message []byte, ifindex int) bool {
	attrs, err := parseAttrs(message)
	if err != nil {
		return true
	}
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED != ethtoolHeader {
			continue
		}
		header, err := parseAttrs(a.Value)
		if err != nil {
			return true
		}
		for _, h := range header {
			if h.Attr.Type == unix.ETHTOOL_A_HEADER_DEV_INDEX && len(h.Value) == 4 {
				return binary.NativeEndian.Uint32(h.Value) == uint32(ifindex)
			}
		}
	}
	return true
}

// Refresh asks the kernel, and returns when the answer is known.
func (v *SpreadView) Refresh() {
	v.reading.Lock()
	defer v.reading.Unlock()
	s, err := v.read()
	if err != nil {
		// The interface may be gone, which others tell of.
		v.log.Debug("loader: how packets are spread cannot be read", "err", err)
		return
	}
	if s.same(v.current.Load()) {
		return
	}
	v.current.Store(&s)
	v.log.Debug("loader: packets are spread anew", "queues", s.Queues, "table", len(s.Table))
	v.changed(s)
}

func (v *SpreadView) read() (s Spreading, err error) {
	info := NICInfo{Index: v.index}
	if err := v.sockets.probeChannels(&info); err != nil && !unknown(err) {
		return s, err
	}
	s.Queues = info.RXQueues
	s.Settings, err = v.sockets.spread(v.index)
	return s, err
}

// Spreading returns what is known now.
func (v *SpreadView) Spreading() Spreading { return *v.current.Load() }

// Queue returns the queue on which a TCP packet from remote to local arrives. known says whether
// that can be told.
func (v *SpreadView) Queue(local, remote netip.AddrPort) (queue int, known bool) {
	return v.current.Load().Queue(local, remote)
}

// Doubt has the kernel be asked soon.
func (v *SpreadView) Doubt() {
	if v.events != nil {
		_ = v.events.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close stops following. Queue goes on answering what was true before.
func (v *SpreadView) Close() error {
	var err error
	if v.events != nil {
		err = v.events.Close()
	}
	v.running.Wait()
	v.sockets.close()
	if err != nil {
		return fmt.Errorf("loader: stop following the queues: %w", err)
	}
	return nil
}
