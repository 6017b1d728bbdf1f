//go:build linux

package xsk

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// registerUMEM tells the kernel which memory the socket's frames live in, and how many octets of
// metadata lie before a packet to send: 0, or what a kernel before 6.8 refuses with EINVAL.
func registerUMEM(fd int, mem []byte, chunk, metadata int) error {
	reg := unix.XDPUmemReg{
		// Safety: mem is mapped memory (not Go's): it does not move, and the port unmaps it
		// only after it has closed the socket.
		Addr: uint64(uintptr(unsafe.Pointer(&mem[0]))),
		Len:  uint64(len(mem)),
		Size: uint32(chunk),
	}
	if metadata > 0 {
		reg.Flags, reg.Tx_metadata_len = unix.XDP_UMEM_TX_METADATA_LEN, uint32(metadata)
	}
	// Safety: reg lives until the call returns; the kernel copies it.
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0)
	if errno != 0 {
		return fmt.Errorf("register %d octets of frame memory: %w", len(mem), errno)
	}
	return nil
}

// misaligned returns how far mem's first huge page begins behind mem.
func misaligned(mem []byte) int {
	// Safety: the address is only looked at.
	return int(-uintptr(unsafe.Pointer(&mem[0])) & (hugePage - 1))
}

// preferNodes has the pages of mem taken from the NUMA nodes of a mask as long as these have any.
func preferNodes(mem []byte, nodes uint64) error {
	const preferred = 1 // MPOL_PREFERRED of linux/mempolicy.h
	// Safety: mem is mapped memory, and nodes lives until the call returns; the kernel copies it.
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)),
		preferred, uintptr(unsafe.Pointer(&nodes)), 64, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// mmapOffsets asks where in their mappings the rings keep what.
func mmapOffsets(fd int) (unix.XDPMmapOffsets, error) {
	var off unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(off))
	// Safety: off and size live until the call returns, and size is that of off.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS,
		uintptr(unsafe.Pointer(&off)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return off, fmt.Errorf("ask for ring offsets: %w", errno)
	}
	if size != uint32(unsafe.Sizeof(off)) {
		return off, fmt.Errorf("ask for ring offsets: got %d octets, want %d: kernel before 5.4", size, unsafe.Sizeof(off))
	}
	return off, nil
}

// statistics asks for the kernel's counters of the socket.
func statistics(fd int) (unix.XDPStatistics, error) {
	var st unix.XDPStatistics
	size := uint32(unsafe.Sizeof(st))
	// Safety: as in mmapOffsets. A kernel that knows fewer counters leaves the rest 0.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_STATISTICS,
		uintptr(unsafe.Pointer(&st)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return st, fmt.Errorf("ask for statistics: %w", errno)
	}
	return st, nil
}
