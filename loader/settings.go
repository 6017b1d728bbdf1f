package loader

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Setting is a file below /sys/class/net/IF, and what it is to hold; or the indirection table of
// its RSS, the queue of each entry with a space between.
type Setting struct {
	Name  string `json:"name"` // "queues/rx-0/rps_cpus", "rss-indirection"
	Value string `json:"value"`
}

// Change is a setting that was changed.
type Change struct {
	Setting
	// Before is what it held: what it gets back.
	Before string `json:"before"`
}

// String says what was changed, for people.
func (c Change) String() string {
	if c.Name == tableSetting {
		return fmt.Sprintf("RSS spreads to queues %s, before to %s", tableQueues(c.Value), tableQueues(c.Before))
	}
	return fmt.Sprintf("%s %s, was %s", c.Name, c.Value, c.Before)
}

// Undo is the command that gives a change back by hand.
func (c Change) Undo(nic string) string {
	if c.Name == tableSetting {
		return fmt.Sprintf("ethtool -X %s default", nic)
	}
	return fmt.Sprintf("echo %s > /sys/class/net/%s/%s", c.Before, nic, c.Name)
}

const (
	// deferIRQs is how many empty polls in a row put interrupts on again, and flushTimeout how
	// long a device waits at most for who polls it. Both are what the kernel's documentation
	// of busy polling uses.
	// https://docs.kernel.org/networking/napi.html#irq-mitigation
	deferIRQs    = "2"
	flushTimeout = "200000" // ns
)

// PollSettings is what busy polling needs of an interface: that interrupts stay off while who
// polls comes back in time.
func PollSettings() []Setting {
	return []Setting{{"napi_defer_hard_irqs", deferIRQs}, {"gro_flush_timeout", flushTimeout}}
}

// SteerSettings is what keeps the packets of a flow in order on a veth pair whose program runs in
// the network core: of any other interface, and in native mode, nothing.
//
// A veth hands a packet to the processor that sends it, and of one flow several do: whose
// application writes, and whose soft interrupt handles our ACK. Their backlogs are worked off at the
// same time, and packets overtake each other, which the sender answers with retransmissions (700
// a second at MTU 1500) that nobody needs. Receive packet steering gives all packets of a flow to
// one processor, by the hash of the flow. It may be any of processors, which are numbers: that it
// always be the same one costs request-response a third of its rate. Of connections that are
// opened and closed one after the other every second flow belongs to the other processor, and each
// packet of it costs an interrupt there: they lose a third of their rate too.
func SteerSettings(nic NICInfo, attached Mode, processors []int) []Setting {
	if !nic.Veth || attached != Generic || len(processors) < 2 {
		return nil
	}
	all := processorMask(processors)
	settings := make([]Setting, 0, nic.RXQueues)
	for q := range nic.RXQueues {
		settings = append(settings, Setting{fmt.Sprintf("queues/rx-%d/rps_cpus", q), all})
	}
	return settings
}

// tableSetting is the name of the indirection table among the settings.
const tableSetting = "rss-indirection"

// ServeSettings is what has a NIC spread to the first so many of its queues, all alike: nothing,
// where it spreads to these alone, or where it is not known how it spreads.
func ServeSettings(spread Spreading, served int) []Setting {
	if len(spread.Table) == 0 || len(spread.Beyond(served)) == 0 {
		return nil
	}
	table := make([]uint32, len(spread.Table))
	for i := range table {
		table[i] = uint32(i % served)
	}
	return []Setting{{tableSetting, formatTable(table)}}
}

func formatTable(table []uint32) string {
	words := make([]string, len(table))
	for i, q := range table {
		words[i] = strconv.FormatUint(uint64(q), 10)
	}
	return strings.Join(words, " ")
}

func parseTable(value string) (table []uint32, err error) {
	for word := range strings.FieldsSeq(value) {
		q, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no queue: %w", word, err)
		}
		table = append(table, uint32(q))
	}
	if len(table) == 0 {
		return nil, errors.New("an indirection table has no entries")
	}
	return table, nil
}

// tableQueues lists the queues that a table names, for people.
func tableQueues(value string) string {
	table, err := parseTable(value)
	if err != nil {
		return value
	}
	slices.Sort(table)
	return formatTable(slices.Compact(table))
}

// processorMask is a set of processors as the kernel writes it: in hexadecimal words of eight
// digits, with commas between.
func processorMask(processors []int) string {
	mask := new(big.Int)
	for _, p := range processors {
		mask.SetBit(mask, p, 1)
	}
	digits := mask.Text(16)
	var words []string
	for len(digits) > 8 {
		words = append([]string{digits[len(digits)-8:]}, words...)
		digits = digits[:len(digits)-8]
	}
	return strings.Join(append([]string{digits}, words...), ",")
}

// canonical is what two spellings of one value have in common: the kernel pads masks.
func canonical(value string) string {
	return strings.TrimLeft(strings.ReplaceAll(strings.TrimSpace(value), ",", ""), "0")
}
