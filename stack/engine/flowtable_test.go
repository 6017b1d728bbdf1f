package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

type entry struct{ key flowKey }

func (e *entry) flow() *flowKey { return &e.key }

func entryOf(n uint32) *entry {
	e := new(entry)
	binary.BigEndian.PutUint32(e.key.remote[12:], n)
	e.key.local[15], e.key.rport, e.key.lport = 1, uint16(n*7), 80
	return e
}

// TestTable compares the table to a map over random additions and removals.
func TestTable(t *testing.T) {
	var tab table[*entry]
	tab.init(newHashSeed(sipKey{1, 2}))
	model := make(map[flowKey]*entry)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200_000 {
		// The range shrinks and grows, so that the table does.
		e := entryOf(rng.Uint32N(1 + uint32(i/20_000%2)*5000))
		old := tab.get(&e.key)
		if old != model[e.key] {
			t.Fatalf("step %d: got %p, want %p", i, old, model[e.key])
		}
		if old == nil {
			tab.put(e)
			model[e.key] = e
		} else {
			if !tab.remove(old) || tab.remove(old) {
				t.Fatalf("step %d: an entry was not removed once", i)
			}
			delete(model, e.key)
		}
		if tab.n != len(model) || i%1000 == 0 && len(tab.all()) != len(model) {
			t.Fatalf("step %d: %d entries, want %d", i, tab.n, len(model))
		}
	}
	for _, e := range tab.all() {
		tab.remove(e)
	}
	if len(tab.slots) != tableMin {
		t.Errorf("empty, the table has %d slots, want %d", len(tab.slots), tableMin)
	}
}

// BenchmarkLookup compares the table to a map of the same keys, 100,000 flows in each.
func BenchmarkLookup(b *testing.B) {
	const flows = 100_000
	var tab table[*entry]
	tab.init(newHashSeed(sipKey{1, 2}))
	m := make(map[flowKey]*entry)
	all := make([]*entry, flows)
	for i := range all {
		all[i] = entryOf(uint32(i))
		tab.put(all[i])
		m[all[i].key] = all[i]
	}
	rand.Shuffle(flows, func(i, j int) { all[i], all[j] = all[j], all[i] })
	b.Run("table", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if k := all[i%flows].key; tab.get(&k) == nil {
				b.Fatal("missing")
			}
		}
	})
	b.Run("map", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if k := all[i%flows].key; m[k] == nil {
				b.Fatal("missing")
			}
		}
	})
}
