package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/fault"
)

// The bottleneck of the test: 20 Mbit/s, 40 ms, a queue of one BDP.
const (
	neckRate = 20e6
	neckRTT  = 40 * time.Millisecond
	neckLate = neckRTT / 20 // an emulator that is later than that is none
	// neckLateShare is the part of frames that may be late all the same.
	neckLateShare = 0.01
	neckTries     = 5
)

// kindred is by how much our goodput may differ from the kernel's with the same algorithm,
// shareLeast what the weaker of two flows must get.
const (
	kindred    = 0.25
	shareLeast = 0.35
)

func neck(loss float64) (there, back fault.Direction) {
	there = fault.Direction{
		Rate: neckRate, Queue: neckRate / 8 * int(neckRTT/time.Millisecond) / 1000,
		Delay: neckRTT / 2, Loss: loss, LateMax: neckLate,
	}
	return there, fault.Direction{Delay: neckRTT / 2, LateMax: neckLate}
}

// serveOn serves characters over our TCP, or the kernel's, with an algorithm.
func (p *path) serveOn(t testing.TB, stack, cc string) (address string) {
	t.Helper()
	port := map[string]string{"millrace": "8080", "kernel": "8090"}[stack]
	args := []string{"serve", "chargen", "--listen", ":" + port, "--cc", cc}
	if stack == "kernel" {
		start(t, p.a, built.path, append(args, "--stack", "kernel")...).await("istening")
	} else {
		listening(t, p.a, args...)
	}
	return "10.77.0.1:" + port
}

// late is the part of a path's frames that the emulator was late with.
func (p *path) late() float64 {
	var passed, late uint64
	for _, w := range p.way {
		rx, _ := w.port.Counters()
		passed += rx.Passed
		late += rx.Late
	}
	return float64(late) / float64(max(1, passed))
}

// goodputs runs streams over their paths at once, one of each, and returns what each carried
// in Mbit/s. It says no if the machine was too busy to be an emulator.
func goodputs(t testing.TB, paths []*path, addresses []string) (carried []float64, punctual bool) {
	t.Helper()
	streams := make([]*stream, len(paths))
	for i, p := range paths {
		streams[i] = openStream(t, p.b, addresses[i])
	}
	// Time is what a rate is measured against: there is no condition to wait for.
	<-time.After(sized(3*time.Second, time.Second))
	meters := make([]func() float64, len(streams))
	for i, s := range streams {
		meters[i] = s.meter()
	}
	<-time.After(sized(30*time.Second, 3*time.Second))
	punctual = true
	for i, s := range streams {
		carried = append(carried, 1e3*meters[i]())
		if err := s.fault(); err != nil {
			t.Errorf("%s: %v", addresses[i], err)
		}
		_ = s.conn.Close()
		late := paths[i].late()
		t.Logf("%s: %.4f of the frames left later than %v", addresses[i], late, neckLate)
		punctual = punctual && late <= neckLateShare
	}
	return carried, punctual
}

// TestKernelConformance has our Reno and CUBIC beside the kernel's, through bottlenecks of
// one kind that lose the same packets of either: what they carry may differ by a quarter.
// Through one bottleneck, neither may push the other aside.
func TestKernelConformance(t *testing.T) {
	for _, loss := range sized([]float64{0, 0.001, 0.01}, []float64{0.01}) {
		judged(t, fmt.Sprintf("a loss of %v", loss), func(t *testing.T, seed uint64) bool { return kernelGoodput(t, seed, loss) })
	}
	judged(t, "one bottleneck", kernelShare)
}

// judged tries until the emulator was punctual, a few times at most.
func judged(t *testing.T, what string, try func(t *testing.T, seed uint64) bool) {
	t.Helper()
	for n := range uint64(neckTries) {
		punctual := false
		t.Run(what, func(t *testing.T) { punctual = try(t, n+1) })
		if punctual || t.Failed() {
			return
		}
		t.Logf("%s: not judged: of more than %v of the frames", what, neckLateShare)
	}
	t.Errorf("%s: not judged in %d tries: the machine is too busy", what, neckTries)
}

// algorithms are those that both have.
var algorithms = []string{"reno", "cubic"}

func kernelGoodput(t *testing.T, seed uint64, loss float64) bool {
	var paths []*path
	var addresses []string
	for _, cc := range algorithms {
		for _, stack := range []string{"millrace", "kernel"} {
			there, back := neck(loss)
			p := newPathOf(t, seed, there, back)
			paths, addresses = append(paths, p), append(addresses, p.serveOn(t, stack, cc))
		}
	}
	carried, punctual := goodputs(t, paths, addresses)
	for i, cc := range algorithms {
		ours, kernel := carried[2*i], carried[2*i+1]
		t.Logf("%s at a loss of %v: %.2f Mbit/s, the kernel %.2f, ratio %.2f", cc, loss, ours, kernel, ours/kernel)
		if ratio := ours / kernel; punctual && !testing.Short() && (ratio < 1-kindred || ratio > 1+kindred) {
			t.Errorf("%s at a loss of %v: ratio %.2f, want 1 within %v", cc, loss, ratio, kindred)
		}
	}
	return punctual
}

// kernelShare lets two flows meet on each bottleneck, on two bottlenecks for each algorithm:
// a few epochs of CUBIC are not enough for one to tell.
func kernelShare(t *testing.T, seed uint64) bool {
	const each = 2
	var paths []*path
	var addresses []string
	for _, cc := range algorithms {
		for n := range uint64(each) {
			there, back := neck(0)
			p := newPathOf(t, seed+100*n, there, back)
			for _, stack := range []string{"millrace", "kernel"} {
				paths, addresses = append(paths, p), append(addresses, p.serveOn(t, stack, cc))
			}
		}
	}
	carried, punctual := goodputs(t, paths, addresses)
	for i, cc := range algorithms {
		var ours, all float64
		for n := range each {
			pair := carried[2*(each*i+n):][:2]
			ours, all = ours+pair[0], all+pair[0]+pair[1]
		}
		share := ours / all
		t.Logf("%s through one bottleneck: %.1f Mbit/s of ours and the kernel's in turn, our share %.2f", cc, carried[2*each*i:][:2*each], share)
		if punctual && !testing.Short() && min(share, 1-share) < shareLeast {
			t.Errorf("%s through one bottleneck: our share is %.2f, want from %v to %v", cc, share, shareLeast, 1-shareLeast)
		}
	}
	return punctual
}
