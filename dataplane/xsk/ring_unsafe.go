//go:build linux

package xsk

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapRing maps one ring of size entries of entrySize octets into r, and returns where the
// entries start.
func (r *ring) mapRing(fd int, page int64, off unix.XDPRingOffset, size, entrySize int) ([]byte, error) {
	length := int(off.Desc) + size*entrySize
	mem, err := unix.Mmap(fd, page, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("mmap ring at %#x: %w", page, err)
	}
	if max(off.Producer, off.Consumer, off.Flags)+4 > uint64(length) ||
		(off.Producer|off.Consumer|off.Flags)%4 != 0 || off.Desc%8 != 0 {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("ring at %#x: offsets %+v make no sense", page, off)
	}
	r.mem, r.mask = mem, uint32(size-1)
	// Safety: the three offsets lie within mem and are aligned for four octets, as checked
	// above. mem is no Go memory, does not move, and is unmapped only by Port.Close, after
	// which no method touches a ring.
	r.producer = (*atomic.Uint32)(unsafe.Pointer(&mem[off.Producer]))
	r.consumer = (*atomic.Uint32)(unsafe.Pointer(&mem[off.Consumer]))
	r.flags = (*atomic.Uint32)(unsafe.Pointer(&mem[off.Flags]))
	r.prod, r.cons = r.producer.Load(), r.consumer.Load()
	return mem[off.Desc:length], nil
}

func (r *descRing) open(fd int, page int64, off unix.XDPRingOffset, size int) error {
	b, err := r.mapRing(fd, page, off, size, int(unsafe.Sizeof(unix.XDPDesc{})))
	if err != nil {
		return err
	}
	// Safety: b is size entries long and aligned for eight octets (mapRing), and an
	// XDPDesc has the kernel's layout without padding.
	r.descs = unsafe.Slice((*unix.XDPDesc)(unsafe.Pointer(&b[0])), size)
	return nil
}

func (r *addrRing) open(fd int, page int64, off unix.XDPRingOffset, size int) error {
	b, err := r.mapRing(fd, page, off, size, 8)
	if err != nil {
		return err
	}
	// Safety: as in descRing.open.
	r.addrs = unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), size)
	return nil
}
