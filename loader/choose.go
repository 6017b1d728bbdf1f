package loader

// Choice is how an interface is best opened.
type Choice struct {
	// Mode is Auto where native mode is tried first, and Generic where that would be slower, or
	// be refused.
	Mode Mode
	// ZeroCopy says that it is worth trying.
	ZeroCopy bool
	// Why says in a few words what speaks for it.
	Why string
	// Measured says that it was, rather than promised by the driver.
	Measured bool
}

// measured is how interfaces are best opened by what was measured of their drivers, where that is
// not what the driver's features say. What is not here goes by those, because a mode can be judged
// under load only: an interface that is being opened has none, and who asked its peer for some
// would disturb what the kernel does on it. millrace bench modes measures with a peer that is
// there for it, and what it records goes before this table.
var measured = []struct {
	driver  string
	applies func(*NICInfo) bool
	choice  Choice
}{
	// A native program on a veth turns off segmentation offload at its peer, whose kernel then
	// builds, and ours copies, each packet of MTU 1500 by itself; in generic mode 64 KiB come at
	// once. Receiving from kernel TCP took 1.4 times as much so; sending, and latency, are alike.
	{"veth", func(i *NICInfo) bool { return i.Pieces }, Choice{
		Mode: Generic, Measured: true, Why: "on a veth it is the fastest, for packets of up to 64 KiB come uncut",
	}},
	// Where packets of several frames may be unknown, those of 64 KiB would be dropped.
	{"veth", func(*NICInfo) bool { return true }, Choice{
		Mode: Auto, Measured: true, Why: "this kernel may not take the uncut packets that a veth gets in the network core",
	}},
}

// Choose returns how the interface is best opened, by what was measured of its driver here, or
// elsewhere, or by what the driver promises.
func (i *NICInfo) Choose() Choice {
	r := i.Recorded
	if r == nil {
		return i.chooseUnmeasured()
	}
	if c, ok := r.choice(); ok && r.Kernel == i.Kernel {
		return c
	}
	c := i.chooseUnmeasured()
	c.Why += "; what was measured here was on Linux " + r.Kernel + ": millrace bench modes --record measures it anew"
	return c
}

// chooseUnmeasured is Choose where nothing was measured on this machine.
func (i *NICInfo) chooseUnmeasured() Choice {
	for _, m := range measured {
		if i.Driver == m.driver && m.applies(i) {
			return m.choice
		}
	}
	switch f := i.XDP; {
	case !f.Has(XDPKnown):
		return Choice{Mode: Auto, ZeroCopy: true, Why: "the kernel does not tell what the driver can: it is tried"}
	case f.Has(XDPBasic | XDPRedirect | XDPZeroCopy):
		return Choice{Mode: Auto, ZeroCopy: true, Why: "the driver promises zero-copy (" + f.String() + ")"}
	case f.Has(XDPBasic | XDPRedirect):
		return Choice{Mode: Auto, Why: "the driver has XDP and no zero-copy (" + f.String() + ")"}
	}
	return Choice{Mode: Generic, Why: "the driver has no XDP (" + i.XDP.String() + ")"}
}
