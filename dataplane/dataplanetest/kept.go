package dataplanetest

import (
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
)

// testKeptFrames: of frames that were kept some are freed, in any order, and those that readers
// still hold when the worker ends are as they were, and not missed, though the port is closed.
func testKeptFrames(t *testing.T, l *link) {
	port, ok := l.b.Port.(dataplane.KeepingPort)
	if !ok {
		l.close(t)
		t.Skip("the port is not one whose frames are kept")
	}
	info := port.Info()
	if info.KeepMax < 1 || info.KeepSize < info.FrameSize {
		t.Errorf("Info: %d frames of %d octets may be kept", info.KeepMax, info.KeepSize)
	}
	const held = 8
	room := l.a.Info().FrameSize
	var keep [held]dataplane.Frame
	l.fill(t, keep[:])
	for _, i := range []int{7, 1} {
		port.Free([]dataplane.Frame{{Handle: keep[i].Handle}})
	}
	left := append(append([]dataplane.Frame{}, keep[0]), keep[2:7]...)
	port.Leave(left)
	port.Return(left[0])
	l.close(t)
	var all sync.WaitGroup
	for i := 2; i < 7; i++ {
		all.Go(func() {
			wantFrame(t, keep[i].Data, uint64(i), room)
			port.Return(dataplane.Frame{Handle: keep[i].Handle})
		})
	}
	all.Wait()
}
