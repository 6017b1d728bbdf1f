package trace

import "runtime"

// WaitRoom returns when the queue has room for everything.
func (l *Live) WaitRoom() {
	for len(l.free) < 3*liveQueueLen/4 {
		runtime.Gosched()
	}
}

// Dir is where the files are.
func (l *Live) Dir() string { return l.dir }
