package trace

import "runtime"

// WaitRoom returns when the queue is half empty.
func (l *Live) WaitRoom() {
	for len(l.free) < liveQueueLen/2 {
		runtime.Gosched()
	}
}

// Dir is where the files are.
func (l *Live) Dir() string { return l.dir }
