package xsk

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// counters are written by the worker, once a batch, and read by anyone.
type counters struct {
	rxFrames, rxOctets, rxInvalid            atomic.Uint64
	txFrames, txOctets, txDropped, txInvalid atomic.Uint64
	kicks, kickRetries, kickErrors, waits    atomic.Uint64
	lastErrno                                atomic.Uint32

	mu   sync.Mutex
	last KernelStats // as last read
}

// kernel reads the kernel's counters through raw, which fails when the socket is closed.
func (c *counters) kernel(raw syscall.RawConn) KernelStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = raw.Control(func(fd uintptr) {
		st, err := statistics(int(fd))
		if err != nil {
			return
		}
		c.last = KernelStats{
			RXDropped:     st.Rx_dropped,
			RXRingFull:    st.Rx_ring_full,
			RXInvalid:     st.Rx_invalid_descs,
			TXInvalid:     st.Tx_invalid_descs,
			FillRingEmpty: st.Rx_fill_ring_empty_descs,
			TXRingEmpty:   st.Tx_ring_empty_descs,
		}
	})
	return c.last
}

// keepKernel reads the kernel's counters a last time.
func (c *counters) keepKernel(raw syscall.RawConn) { c.kernel(raw) }

func (c *counters) read(raw syscall.RawConn) dataplane.Stats {
	k := c.kernel(raw)
	return dataplane.Stats{
		RXFrames: c.rxFrames.Load(),
		RXOctets: c.rxOctets.Load(),
		TXFrames: c.txFrames.Load(),
		TXOctets: c.txOctets.Load(),
		// FillRingEmpty is not added: in copy mode the kernel counts the same packet as
		// RXDropped, and in zero-copy mode it counts attempts, not packets.
		RXDropped:   k.RXDropped + k.RXRingFull,
		RXInvalid:   c.rxInvalid.Load() + k.RXInvalid,
		TXDropped:   c.txDropped.Load() + c.txInvalid.Load() + k.TXInvalid,
		Kicks:       c.kicks.Load(),
		KickRetries: c.kickRetries.Load(),
		Waits:       c.waits.Load(),
	}
}

func (c *counters) err(name string) error {
	errno := c.lastErrno.Load()
	if errno == 0 {
		return nil
	}
	return fmt.Errorf("xsk: kick %s (%d times): %w", name, c.kickErrors.Load(), unix.Errno(errno))
}
