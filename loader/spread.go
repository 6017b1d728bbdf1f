package loader

import (
	"slices"

	"github.com/millrace-tcp/millrace/loader/rss"
)

// Spreading is how an interface spreads what it receives over its queues.
type Spreading struct {
	rss.Settings
	// Queues is how many there are in use; 0 is that it is not known.
	Queues int
}

// Beyond returns the queues from the one of this number on that packets are spread to: those that
// nobody serves, if that is how many are served.
func (s *Spreading) Beyond(served int) (queues []int) {
	for _, q := range s.Table {
		if int(q) >= served && !slices.Contains(queues, int(q)) {
			queues = append(queues, int(q))
		}
	}
	if len(s.Table) == 0 {
		for q := served; q < s.Queues; q++ {
			queues = append(queues, q)
		}
	}
	slices.Sort(queues)
	return queues
}

func (s *Spreading) same(o *Spreading) bool {
	return s.Queues == o.Queues && s.Function == o.Function && s.Transform == o.Transform &&
		s.Fields4 == o.Fields4 && s.Fields6 == o.Fields6 && slices.Equal(s.Key, o.Key) && slices.Equal(s.Table, o.Table)
}

// String says how, for people.
func (s *Spreading) String() string {
	switch {
	case len(s.Table) == 0:
		return "it is not told which packet comes by which"
	case s.Known(true) || s.Known(false):
		return "RSS spreads to queues " + tableQueues(formatTable(s.Table)) + ", and outgoing connections are placed by it"
	}
	return "RSS spreads to queues " + tableQueues(formatTable(s.Table))
}
