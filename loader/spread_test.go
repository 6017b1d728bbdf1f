package loader

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/loader/rss"
)

func TestQueuesBeyond(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spread Spreading
		served int
		want   []int
	}{
		{"a table of served queues", Spreading{Settings: rss.Settings{Table: []uint32{0, 1, 0, 1}}, Queues: 4}, 2, nil},
		{"a table of others too", Spreading{Settings: rss.Settings{Table: []uint32{3, 1, 2, 3}}, Queues: 4}, 2, []int{2, 3}},
		{"no table", Spreading{Queues: 3}, 1, []int{1, 2}},
		{"no table, all served", Spreading{Queues: 3}, 3, nil},
		{"nothing known", Spreading{}, 1, nil},
	} {
		if got := tt.spread.Beyond(tt.served); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// The table is made to name the served queues alone, where it names others.
func TestServeSettings(t *testing.T) {
	table := func(queues ...uint32) Spreading { return Spreading{Settings: rss.Settings{Table: queues}, Queues: 4} }
	got := ServeSettings(table(0, 1, 2, 3, 0, 1), 2)
	if len(got) != 1 || got[0] != (Setting{"rss-indirection", "0 1 0 1 0 1"}) {
		t.Errorf("got %+v, want all entries alike for two queues", got)
	}
	for name, s := range map[string]Spreading{"all are served": table(0, 1, 0, 1), "no RSS": {Queues: 4}} {
		if got := ServeSettings(s, 2); len(got) != 0 {
			t.Errorf("%s: got %+v, want nothing", name, got)
		}
	}
	c := Change{got[0], "3 2 1 0"}
	if said := c.String(); !strings.Contains(said, "queues 0 1,") || !strings.HasSuffix(said, "to 0 1 2 3") {
		t.Errorf("it says %q", said)
	}
	if undo := c.Undo("eth0"); undo != "ethtool -X eth0 default" {
		t.Errorf("undone by %q", undo)
	}
}

func TestSpreadingAsText(t *testing.T) {
	known := rss.Settings{Function: rss.Toeplitz, Key: make([]byte, 40), Table: []uint32{0, 2, 0, 2}, Fields4: rss.Whole, Fields6: rss.Whole}
	unknown := known
	unknown.Function = rss.XOR
	for _, tt := range []struct {
		spread rss.Settings
		want   string
	}{
		{known, "RSS spreads to queues 0 2, and outgoing connections are placed by it"},
		{unknown, "RSS spreads to queues 0 2"},
		{rss.Settings{}, "it is not told which packet comes by which"},
	} {
		if got := (&Spreading{Settings: tt.spread}).String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestTablesAsText(t *testing.T) {
	got, err := parseTable(formatTable([]uint32{0, 17, 4}))
	if err != nil || !slices.Equal(got, []uint32{0, 17, 4}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", " ", "0 x", "-1", "4294967296"} {
		if got, err := parseTable(bad); err == nil {
			t.Errorf("%q is %v, want an error", bad, got)
		}
	}
}
