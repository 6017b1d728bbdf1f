package suite

import (
	"slices"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/testbed"
)

// onLab is a lab's link.
func onLab(mtu, queues int) testbed.Link {
	return testbed.Link{Kind: testbed.Lab, MTU: mtu, Queues: queues}
}

// bulk is a transfer each way on a number of connections.
func bulk(link testbed.Link, flows int, stacks ...string) []Case {
	var cases []Case
	for _, way := range []bench.Way{bench.Upload, bench.Download} {
		cases = append(cases, Case{Link: link, Workload: bench.Workload{Kind: bench.Bulk, Way: way, Flows: flows}, Stacks: stacks})
	}
	return cases
}

// idleTime is how long idle connections are looked at: 2 % of a core are then 100 ms, many times
// what one collection of garbage takes.
const idleTime = 5 * time.Second

// Whole is the whole comparison: all that the bars ask for, each stack beside its peers. With
// peers it has those of bench/peers too.
func Whole(peers bool) []Section {
	sections := []Section{
		{"veth-1500-bulk", whole1500Bulk()}, {"veth-1500-messages", whole1500Messages()},
		{"veth-1500-web", []Case{{
			Link: onLab(1500, 1), Workload: bench.Workload{Kind: bench.HTTP, Flows: 64, Time: time.Second},
			Stacks: []string{testbed.Millrace, testbed.Kernel, testbed.KernelXDP, testbed.GVisorPacket},
		}}},
		{"veth-mtu", wholeMTU()}, {"veth-queues", wholeQueues()}, {"pipe", wholePipe()},
		{"idle", []Case{{
			Link: onLab(1500, 1), Workload: bench.Workload{Kind: bench.Idle, Flows: report.IdleConns, Time: idleTime},
			Stacks: []string{testbed.Millrace, testbed.MillraceHandler, testbed.Kernel},
		}}},
	}
	if !peers {
		for i := range sections {
			for j := range sections[i].Cases {
				c := &sections[i].Cases[j]
				c.Stacks = slices.DeleteFunc(slices.Clone(c.Stacks), testbed.NeedsPeers)
			}
		}
	}
	return sections
}

// whole1500Bulk has all stacks on one connection, in the mode that millrace takes by itself and
// with XDP in the driver.
func whole1500Bulk() []Case {
	link := onLab(1500, 1)
	cases := bulk(link, 1, testbed.Millrace, testbed.MillraceHandler, testbed.MillraceInPlace, testbed.Kernel, testbed.KernelXDP,
		testbed.GVisorXDP, testbed.GVisorPacket, testbed.Raw)
	cases = append(cases, bulk(link, 1, testbed.MillraceNative, testbed.KernelGeneric, testbed.GVisorNative, testbed.RawNative)...)
	for _, flows := range []int{8, 64} {
		cases = append(cases, bulk(link, flows, testbed.Millrace, testbed.MillraceHandler, testbed.MillraceInPlace,
			testbed.Kernel, testbed.KernelXDP, testbed.GVisorXDP, testbed.GVisorPacket)...)
	}
	return cases
}

// whole1500Messages is request-response with and without new connections. Raw frames have
// no more than fits one.
func whole1500Messages() []Case {
	link := onLab(1500, 1)
	stacks := []string{
		testbed.Millrace, testbed.MillraceHandler, testbed.MillraceBoth, testbed.MillraceBothHandler,
		testbed.Kernel, testbed.KernelXDP, testbed.GVisorXDP, testbed.GVisorPacket,
	}
	var cases []Case
	for _, size := range []int{1, 64, 1400, 16384} {
		of := stacks
		if size <= 1400 {
			of = append(slices.Clone(stacks), testbed.Raw)
		}
		c := Case{Link: link, Workload: bench.Workload{Kind: bench.RequestResponse, Size: size}, Stacks: of}
		if size == 1 {
			c.Stacks = append(slices.Clone(of), testbed.RawSpin, testbed.RawReflect)
			c.Samples = report.BasisMost
		}
		cases = append(cases, c)
	}
	return append(cases, Case{Link: link, Workload: bench.Workload{Kind: bench.Connect, Size: 1}, Stacks: stacks})
}

func wholeMTU() []Case {
	var cases []Case
	for _, mtu := range []int{3498, 9000, 65000} {
		cases = append(cases, bulk(onLab(mtu, 1), 1, testbed.Millrace, testbed.MillraceInPlace, testbed.Kernel, testbed.KernelXDP, testbed.Raw)...)
	}
	return cases
}

// wholeQueues is measured again with one queue, so that one and two are beside each other. Only
// with XDP in the driver does a veth of two queues receive on both of them.
func wholeQueues() []Case {
	return append(bulk(onLab(1500, 1), 8, testbed.Millrace, testbed.MillraceNative),
		bulk(onLab(1500, 2), 8, testbed.Millrace, testbed.MillraceNative, testbed.KernelXDP)...)
}

func wholePipe() []Case {
	link := testbed.Link{Kind: testbed.Pipe, MTU: 1500}
	up := bench.Workload{Kind: bench.Bulk, Way: bench.Upload}
	several := up
	several.Flows = 8
	return []Case{
		{Link: link, Workload: up, Stacks: []string{
			testbed.Millrace, testbed.MillraceHandler, testbed.MillraceInPlace, testbed.Core, testbed.GVisor, testbed.MemoryCopy,
		}},
		{Link: link, Workload: several, Stacks: []string{
			testbed.Millrace, testbed.MillraceHandler, testbed.MillraceInPlace, testbed.GVisor,
		}},
		{Link: link, Workload: bench.Workload{Kind: bench.RequestResponse, Size: 1}, Stacks: []string{
			testbed.Millrace, testbed.MillraceHandler, testbed.GVisor,
		}},
	}
}
