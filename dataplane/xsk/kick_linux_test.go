package xsk

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Of a kick's errors, those that say "again" are counted as such, EBUSY in copy mode as a
// lost frame too, and all others are remembered. None stops the port.
func TestKickErrors(t *testing.T) {
	for _, tt := range []struct {
		errno                  unix.Errno
		retries, errs, dropped uint64
	}{
		{unix.EAGAIN, 1, 0, 0},
		{unix.ENOBUFS, 1, 0, 0},
		{unix.EINTR, 1, 0, 0},
		{unix.EBUSY, 1, 0, 1},
		{unix.ENETDOWN, 0, 1, 0},
		{unix.ENXIO, 0, 1, 0},
		{unix.EMSGSIZE, 0, 1, 0},
	} {
		k := newKernel(t, 0)
		k.kickFailed(tt.errno, true)
		s := &k.stats
		if s.kickRetries.Load() != tt.retries || s.kickErrors.Load() != tt.errs || s.txDropped.Load() != tt.dropped {
			t.Errorf("%v: retries %d, errors %d, dropped %d, want %d, %d, %d", tt.errno,
				s.kickRetries.Load(), s.kickErrors.Load(), s.txDropped.Load(), tt.retries, tt.errs, tt.dropped)
		}
	}
}

// While frames wait for the kernel, turns become rarer as long as it does nothing: not when it
// sends in its own time, as zero-copy drivers do, and is merely not done.
func TestRetriesAreRareOnADeadLinkOnly(t *testing.T) {
	k := newKernel(t, 1<<32-3)
	k.sock.zeroCopy = true
	k.wait.retry.Store(int64(retryMin))
	n := k.Alloc(k.batch[:])
	for i := range n {
		k.batch[i].Data = k.batch[i].Data[:60]
	}
	k.Send(k.batch[:n])
	turn := func() time.Duration {
		k.Flush()
		return k.retryLimit()
	}
	for want := retryMin; want < retryMax; want *= 2 {
		if got := turn(); got != want {
			t.Errorf("nothing moves: the next turn is after %v, want %v", got, want)
		}
	}
	for range 3 {
		k.transmit()
		if got := turn(); got != retryMin {
			t.Errorf("a frame was read: the next turn is after %v, want %v", got, retryMin)
		}
		turn()
	}
	k.complete(uint64(k.cfg.RXFrames) << k.shift)
	if got := turn(); got != retryMin {
		t.Errorf("a frame was sent: the next turn is after %v, want %v", got, retryMin)
	}
}
