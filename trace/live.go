package trace

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// Live records connections on a NIC into the files of a directory: for each a table, a qlog
// and its events, and a page about all of them at the end. Workers put what happens into a
// queue, and never wait; one goroutine writes. What finds the queue full is missing, and
// counted.
type Live struct {
	dir   string
	queue chan *liveEvent
	free  chan *liveEvent
	stop  chan struct{} // closed by Close
	done  chan struct{} // closed by the writer
	conns atomic.Int64
	miss  atomic.Uint64

	mu    sync.Mutex // of names, which are given by workers
	names []string

	// Of the writing goroutine.
	page   *Page
	flows  map[int]*liveFlow
	start  mono.Time
	began  bool
	err    error
	clock  time.Time
	closed sync.Once
}

// Limits of a Live: connections that are recorded, for each has three files, and events in the
// queue, of about 1400 octets each.
const (
	LiveConnsMax = 256
	liveQueueLen = 8192
)

// liveTick is the interval of tables and plots.
const liveTick = 10 * time.Millisecond

// liveEvent is an event on its way to the writer.
type liveEvent struct {
	Event
	flow int
}

// liveFlow is the files of a connection.
type liveFlow struct {
	files  []*os.File
	ends   []func() error
	record *Recorder
	events *Events
}

// NewLive begins to record into a directory, which it makes.
func NewLive(dir string) (*Live, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("trace: make directory: %w", err)
	}
	l := &Live{
		dir: dir, queue: make(chan *liveEvent, liveQueueLen), free: make(chan *liveEvent, liveQueueLen),
		stop: make(chan struct{}), done: make(chan struct{}), page: NewPage("Connections", 0), flows: make(map[int]*liveFlow), clock: time.Now(),
	}
	all := make([]liveEvent, liveQueueLen)
	for i := range all {
		l.free <- &all[i]
	}
	go l.write()
	return l, nil
}

// Recorder returns what records the connection between two addresses; nil if too many are
// recorded. Any goroutine may call it; it does not block.
func (l *Live) Recorder(local, remote netip.AddrPort) congestion.Recorder {
	flow := int(l.conns.Add(1)) - 1
	if flow >= LiveConnsMax {
		return nil
	}
	l.mu.Lock()
	for len(l.names) <= flow {
		l.names = append(l.names, "")
	}
	l.names[flow] = fmt.Sprintf("%v to %v", local, remote)
	l.mu.Unlock()
	return &liveRecorder{live: l, flow: flow}
}

// Missed returns how many events found the queue full, and how many connections were too many.
func (l *Live) Missed() (events, conns uint64) {
	return l.miss.Load(), uint64(max(0, l.conns.Load()-LiveConnsMax))
}

// liveRecorder belongs to the worker of a connection.
type liveRecorder struct {
	live *Live
	flow int
	next mono.Time // when the algorithm is asked for its state again
}

// Record keeps the record and hands it to the writer. When the queue fills, segments sent are
// the first to be missing, then ACKs: of both there are many, and episodes have the rest.
func (r *liveRecorder) Record(rec *congestion.Record) {
	room := len(r.live.free)
	if rec.Event == congestion.EventSent && room < liveQueueLen/2 || rec.Event == congestion.EventAck && room < liveQueueLen/8 {
		r.live.miss.Add(1)
		return
	}
	select {
	case e := <-r.live.free:
		e.Keep(rec)
		if rec.Now >= r.next {
			e.Inspect(rec)
			r.next = rec.Now.Add(liveTick / 2) // twice a tick, for its own is the writer's to set
		}
		e.flow = r.flow
		r.live.queue <- e // there is room: no more events are under way than it has
	default:
		r.live.miss.Add(1)
	}
}

// write empties the queue until Close, and what is in it then.
func (l *Live) write() {
	defer close(l.done)
	for open := true; open; {
		select {
		case e := <-l.queue:
			l.take(e)
			l.free <- e
		case <-l.stop:
			open = false
		}
	}
	for n := len(l.queue); n > 0; n-- {
		l.take(<-l.queue)
	}
	for _, f := range l.flows {
		l.fail(f.close())
	}
	l.fail(l.writePage())
}

func (l *Live) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *Live) take(e *liveEvent) {
	if !l.began {
		l.began, l.start = true, e.Now
	}
	f := l.flows[e.flow]
	if f == nil {
		var err error
		if f, err = l.open(e.flow); err != nil {
			l.fail(err)
			f = &liveFlow{record: NewRecorder(l.page, e.flow, l.start, liveTick)}
		}
		l.flows[e.flow] = f
	}
	f.record.Event(&e.Event)
	if f.events != nil {
		f.events.Write(&e.Event)
	}
	if e.Event.Event == congestion.EventClosed {
		l.fail(f.close())
	}
}

// open makes the files of a connection.
func (l *Live) open(flow int) (*liveFlow, error) {
	f := new(liveFlow)
	var files [3]*os.File
	for i, form := range []string{"flow-%d.csv", "flow-%d.sqlog", "flow-%d.events.gz"} {
		file, err := os.Create(filepath.Join(l.dir, fmt.Sprintf(form, flow)))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("trace: %w", err), f.close())
		}
		files[i] = file
		f.files = append(f.files, file)
	}
	l.mu.Lock()
	name := l.names[flow]
	l.mu.Unlock()
	l.page.Flow(flow, name)
	table := NewCSV(files[0])
	qlog := NewQlog(files[1], QlogHead{Title: "millrace", Flow: name, Reference: l.clock})
	f.events = NewEvents(files[2])
	f.ends = []func() error{table.Close, qlog.Close, f.events.Close}
	f.record = NewRecorder(Sinks{table, qlog, l.page}, flow, l.start, liveTick)
	return f, nil
}

// close ends the files. It may be called twice.
func (f *liveFlow) close() error {
	var errs []error
	for _, end := range f.ends {
		errs = append(errs, end())
	}
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	f.ends, f.files, f.events = nil, nil, nil
	return errors.Join(errs...)
}

func (l *Live) writePage() error {
	l.page.Subtitle = l.clock.UTC().Format("2006-01-02 15:04:05 UTC")
	missed, over := l.Missed()
	l.page.Facts = []Fact{
		{Name: "Connections", Value: fmt.Sprint(len(l.flows))},
		{Name: "Not recorded", Value: fmt.Sprint(over)},
		{Name: "Events missed", Value: fmt.Sprint(missed)},
	}
	f, err := os.Create(filepath.Join(l.dir, "index.html"))
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	return errors.Join(l.page.Write(io.Writer(f)), f.Close())
}

// Close ends the files and writes the page. What is recorded after is lost.
func (l *Live) Close() error {
	l.closed.Do(func() { close(l.stop) })
	<-l.done
	return l.err
}
