package loader

import (
	"slices"
	"testing"
)

// "queues/rx-N/rps_cpus": a bitmap of processors, in words of 32 bits with commas between.
// https://docs.kernel.org/networking/scaling.html#rps-configuration
func TestProcessorMask(t *testing.T) {
	last := make([]int, 40)
	for i := range last {
		last[i] = i
	}
	for _, tt := range []struct {
		processors []int
		want       string
	}{
		{[]int{0}, "1"}, {[]int{0, 1}, "3"}, {[]int{1, 3}, "a"}, {[]int{32}, "1,00000000"}, {last, "ff,ffffffff"},
		{[]int{70}, "40,00000000,00000000"},
	} {
		if got := processorMask(tt.processors); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.processors, got, tt.want)
		}
	}
}

// Only where two processors reorder what one sends: on a veth, with the program in the core.
func TestWhatIsSteered(t *testing.T) {
	veth := NICInfo{Veth: true, RXQueues: 2}
	two := []int{0, 1}
	want := []Setting{{"queues/rx-0/rps_cpus", "3"}, {"queues/rx-1/rps_cpus", "3"}}
	if got := SteerSettings(veth, Generic, two); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, got := range map[string][]Setting{
		"native": SteerSettings(veth, Native, two), "one processor": SteerSettings(veth, Generic, two[:1]),
		"hardware": SteerSettings(NICInfo{RXQueues: 2}, Generic, two),
	} {
		if len(got) != 0 {
			t.Errorf("%s: got %v, want nothing", name, got)
		}
	}
}

func TestSpellingsOfOneValue(t *testing.T) {
	for _, same := range [][2]string{{"3", "00000000,00000003\n"}, {"0", "00\n"}, {"0", ""}, {"200000", "200000\n"}} {
		if canonical(same[0]) != canonical(same[1]) {
			t.Errorf("%q and %q are told apart", same[0], same[1])
		}
	}
	if canonical("3") == canonical("30") {
		t.Error("3 is 30")
	}
}
