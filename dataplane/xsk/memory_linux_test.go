package xsk

import "testing"

// Frame memory is all there, can be written to from end to end, and begins where a huge page may;
// a machine that has set none aside gives others.
func TestMapMemory(t *testing.T) {
	for _, size := range []int{4096, 1 << 20, hugePage, 5*hugePage + 4096} {
		for _, nodes := range []uint64{0, 1, 1 << 63} {
			m, err := mapMemory(size, nodes)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.frames) != size {
				t.Errorf("got %d octets, want %d", len(m.frames), size)
			}
			if off := misaligned(m.frames); off != 0 {
				t.Errorf("%d octets begin %d before where a huge page may", size, off)
			}
			for i := 0; i < size; i += 4096 {
				m.frames[i] = 1
			}
			m.frames[size-1] = 1
			t.Logf("%d octets in %v", size, m.pages)
			m.unmap()
			m.unmap()
		}
	}
}
