package xsk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// memory is a mapping, and the part of it that frames lie in.
type memory struct {
	frames []byte
	whole  []byte
	pages  Pages
}

// mapMemory maps size octets in the best pages there are, if it can on the NUMA nodes of a mask.
func mapMemory(size int, nodes uint64) (*memory, error) {
	if m, err := mapHuge(size, nodes); err == nil {
		return m, nil
	}
	// A huge page more, so that the first one begins at a multiple of its size.
	whole, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("mmap %d octets of frame memory: %w", size, err)
	}
	m := &memory{whole: whole, frames: whole[misaligned(whole):][:size:size]}
	if unix.Madvise(m.frames, unix.MADV_HUGEPAGE) == nil {
		m.pages = PagesTransparent
	}
	if err := m.populate(nodes); err != nil {
		m.unmap()
		return nil, err
	}
	return m, nil
}

// mapHuge maps size octets in huge pages that were set aside.
func mapHuge(size int, nodes uint64) (*memory, error) {
	whole, err := unix.Mmap(-1, 0, (size+hugePage-1)&^(hugePage-1), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_HUGETLB|unix.MAP_HUGE_2MB)
	if err != nil {
		return nil, err
	}
	m := &memory{whole: whole, frames: whole[:size], pages: PagesHuge}
	if err := m.populate(nodes); err != nil {
		m.unmap()
		return nil, err
	}
	return m, nil
}

// populate has the kernel find the pages now, near the NIC if it can: that it cannot costs speed
// only. A kernel before 5.14 is not asked, and finds them when they are written to.
func (m *memory) populate(nodes uint64) error {
	if nodes != 0 {
		_ = preferNodes(m.frames, nodes)
	}
	err := unix.Madvise(m.frames[:cap(m.frames)], unix.MADV_POPULATE_WRITE)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("find %d octets of frame memory: %w", len(m.frames), err)
	}
	return nil
}

func (m *memory) unmap() {
	if m != nil && m.whole != nil {
		_ = unix.Munmap(m.whole)
		m.whole, m.frames = nil, nil
	}
}
