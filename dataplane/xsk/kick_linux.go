package xsk

import (
	"time"

	"golang.org/x/sys/unix"
)

// kicksMax is the most transmit kicks of one Flush. Without a raised budget a kick moves
// 32 packets, so this empties a ring of 2048; what is left goes with the next Flush.
const kicksMax = 64

// While the kernel does not take what is on the transmit ring, Wait ends after retryMin,
// then twice that each time, up to retryMax: a link that is down costs ten turns a second.
const (
	retryMin = time.Millisecond
	retryMax = 100 * time.Millisecond
)

// Flush has the kernel send what is on the transmit ring, tells it of free receive frames
// if it sleeps for want of them, and collects completed frames.
func (p *Port) Flush() {
	if p.closed.Load() {
		return
	}
	if p.txOwed.Load() {
		p.kickTX()
	}
	if len(p.txFree)+p.nLent < p.cfg.TXFrames && p.collect() > 0 {
		p.wait.retry.Store(int64(retryMin))
	}
	p.kickRX()
}

// kickTX starts transmission. In copy mode the kernel sends in our time, so many packets a
// call at most, and a call that made progress is repeated whatever it said. In zero-copy
// mode one call wakes the driver, and the ring empties in its own time.
func (p *Port) kickTX() {
	tx := &p.sock.tx
	left := tx.unread()
	// A zero-copy driver is never done when we look, and moves all the same.
	if read := tx.prod - left; read != p.txRead {
		p.txRead = read
		p.wait.retry.Store(int64(retryMin))
	}
	for range kicksMax {
		if left == 0 || !tx.wakeupWanted() {
			break
		}
		errno := p.kick(unix.SYS_SENDTO, left)
		before := left
		left = tx.unread()
		if errno != 0 {
			p.kickFailed(errno, left < before)
		}
		if p.sock.zeroCopy {
			if left >= before && p.cfg.BusyPoll {
				p.wakeDriver()
			}
			break
		}
		if left >= before {
			break
		}
		p.wait.retry.Store(int64(retryMin))
	}
	p.txOwed.Store(left > 0)
	if left == 0 {
		p.wait.retry.Store(int64(retryMin))
	}
}

// A port that closes waits for what is on the transmit ring up to drainMax, and looks every
// drainEvery. A driver that is not done by then has no link, or is in trouble.
const (
	drainMax   = 50 * time.Millisecond
	drainEvery = 500 * time.Microsecond
)

// drain waits until a zero-copy driver has taken what is on the transmit ring, in its own time:
// the last of it are the RSTs and FINs by which a stack that stops tells its peers, and what the
// driver has not taken when the socket closes is lost. In copy mode Flush has sent all.
func (p *Port) drain() {
	if !p.sock.zeroCopy {
		return
	}
	for end := time.Now().Add(drainMax); p.sock.tx.unread() > 0 && time.Now().Before(end); {
		p.kickTX()
		time.Sleep(drainEvery)
	}
}

// kickRX tells a driver that ran out of receive frames that there are some again. Only
// zero-copy drivers ask for it. With BusyPoll it is what drives the device.
func (p *Port) kickRX() {
	if !p.sock.fill.wakeupWanted() && !p.cfg.BusyPoll {
		return
	}
	if errno := p.kick(unix.SYS_RECVFROM, 0); errno != 0 {
		p.kickFailed(errno, true)
	}
}

// rawKickMax is of how many frames a kick is not announced to Go's scheduler: with some 3 us for
// each, when the kernel sends in our time, it is over before the scheduler would give our processor
// to others, which it does after 20 us at the soonest.
const rawKickMax = 8

// kick makes the empty sendto or recvfrom that AF_XDP takes as a wake-up, for so many frames.
//
// Announcing a system call wakes the runtime's monitor if that sleeps, as it does whenever nothing
// ran a moment ago. On a virtual machine, with the other processor halted, that took 30 us of ours,
// more than the kick, once for nearly each short connection.
func (p *Port) kick(call uintptr, frames uint32) unix.Errno {
	p.stats.kicks.Add(1)
	if frames > rawKickMax || p.cfg.BusyPoll {
		_, _, errno := unix.Syscall6(call, uintptr(p.sock.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
		return errno
	}
	_, _, errno := unix.RawSyscall6(call, uintptr(p.sock.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// wakeDriver wakes a zero-copy driver by poll, which always does. A kick of a socket that busy
// polls drives the receive side of the queue instead and wakes nobody: drivers that send from
// elsewhere (virtio_net, igb with vectors enough) would never send.
func (p *Port) wakeDriver() {
	p.stats.kicks.Add(1)
	p.pollFD[0] = unix.PollFd{Fd: int32(p.sock.fd)}
	_, _ = unix.Poll(p.pollFD[:], 0) // what it finds is of no interest
}

// kickFailed counts what a kick said. Nothing it says stops the port: what is on the ring
// stays there, and the next Flush or the next turn of the worker tries again.
func (p *Port) kickFailed(errno unix.Errno, progress bool) {
	switch errno {
	case unix.EAGAIN, unix.ENOBUFS, unix.EINTR:
		p.stats.kickRetries.Add(1)
	case unix.EBUSY:
		p.stats.kickRetries.Add(1)
		// In copy mode: "completed but not sent", which is always one frame, the last that
		// was taken. A device without carrier answers so.
		if progress && !p.sock.zeroCopy {
			p.stats.txDropped.Add(1)
		}
	default:
		// ENETDOWN: the device is down, and may come back. ENXIO: it is gone, or has no
		// program. Others: not documented, and handled alike.
		p.stats.kickErrors.Add(1)
		p.stats.lastErrno.Store(uint32(errno))
	}
}
