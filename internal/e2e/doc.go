// Package e2e holds the acceptance tests: the program as a user runs it, in one of two
// network namespaces that a veth pair joins, and the clients and servers of the
// distribution on the kernel's TCP in the other. It has no code but tests, which need root.
//
// By default a test makes its namespaces and the pair as a user does by hand, with ip(8),
// so that the offloads and queues are the defaults; some use package lab instead. With
// -short the transfers are smaller and each test takes some ten seconds at most.
//
// What hostile networks do is tried too: a path with a forwarder in user space that loses,
// reorders and marks, a flood of SYNs beside comers who mean it, and guesses at a running
// transfer. Speeds are compared with the kernel's TCP under the same, in the same run.
//
// MILLRACE_E2E_FLAGS is flags for every run of the program, such as "-v" or "--mode generic".
// With "--stack kernel" among them the tests run against the kernel's TCP: what fails then
// is a fault of the test or of the machine, and not of the stack.
//
// MILLRACE_TEST_NICS names two interfaces that a cable joins, "eth0 eth1": tests that need no
// more than one link run on them instead of a veth pair. MILLRACE_E2E_PROGRAM is the program,
// where it is not to be built. "make zc-lab" sets both in a virtual machine, and has the stack
// take zero-copy or nothing.
package e2e
