//go:build !unix

package iperf3

// cpuTime is nothing on a system that does not tell.
type cpuTime struct{}

// cpuLoad is the use of the CPU over a while, in percent of one core.
type cpuLoad struct{ user, system float64 }

func cpuNow() cpuTime { return cpuTime{} }

func cpuSince(cpuTime) cpuLoad { return cpuLoad{} }
