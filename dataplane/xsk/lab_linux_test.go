package xsk_test

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	etherTypeTest = 0x88B5 // IEEE 802, local experimental
	etherTypeIPv4 = 0x0800
)

// big is v as a little-endian machine reads it off the wire.
func big(v uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return int32(binary.NativeEndian.Uint16(b[:]))
}

// redirect is a program that sends the tests' own frames and all IPv4 to the socket of
// their queue, and leaves the rest (ARP, ND) to the kernel.
func redirect(xsks *ebpf.Map) *ebpf.ProgramSpec {
	const pass = 2 // XDP_PASS, also where no socket is
	return &ebpf.ProgramSpec{
		Type:    ebpf.XDP,
		Flags:   unix.BPF_F_XDP_HAS_FRAGS,
		License: "Apache-2.0",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), // data
			asm.LoadMem(asm.R3, asm.R6, 4, asm.Word), // data_end
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 14),
			asm.JGT.Reg(asm.R4, asm.R3, "pass"),
			asm.LoadMem(asm.R5, asm.R2, 12, asm.Half),
			asm.JEq.Imm(asm.R5, big(etherTypeTest), "redirect"),
			asm.JNE.Imm(asm.R5, big(etherTypeIPv4), "pass"),
			asm.LoadMem(asm.R2, asm.R6, 16, asm.Word).WithSymbol("redirect"), // rx_queue_index
			asm.LoadMapPtr(asm.R1, xsks.FD()),
			asm.Mov.Imm(asm.R3, pass),
			asm.FnRedirectMap.Call(),
			asm.Return(),
			asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
			asm.Return(),
		},
	}
}

// attach puts the program on h's interface for as long as the test runs.
func attach(t testing.TB, h *lab.Host, mode link.XDPAttachFlags) *ebpf.Map {
	t.Helper()
	xsks, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 64})
	if err != nil {
		t.Fatalf("make XSKMAP: %v", err)
	}
	t.Cleanup(func() { _ = xsks.Close() })
	prog, err := ebpf.NewProgram(redirect(xsks))
	if err != nil {
		t.Fatalf("load program: %v", err)
	}
	t.Cleanup(func() { _ = prog.Close() })
	if err := h.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: h.Index, Flags: mode})
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		return err
	}); err != nil {
		t.Fatalf("attach to %s: %v", h.Interface, err)
	}
	return xsks
}

// open opens the socket of a queue of h and puts it into xsks. On NICs it is for zero-copy,
// unless the test wants another mode.
func open(t testing.TB, h *lab.Host, xsks *ebpf.Map, cfg xsk.Config) *xsk.Port {
	t.Helper()
	cfg.Ifindex = h.Index
	if lab.OnNICs() && cfg.Mode == xsk.Auto {
		cfg.Mode, cfg.HWRing = xsk.ZeroCopy, hwRing
	}
	var p *xsk.Port
	if err := h.Do(func() (err error) {
		p, err = xsk.Open(cfg)
		return err
	}); err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := xsks.Put(uint32(cfg.Queue), uint32(p.FD())); err != nil {
		t.Fatalf("put socket into XSKMAP: %v", err)
	}
	if !lab.OnNICs() {
		return p
	}
	if p.ZeroCopy() != (cfg.Mode == xsk.ZeroCopy) {
		t.Fatalf("%s is not as asked for, %v", p.Info().Name, cfg.Mode)
	}
	t.Cleanup(func() {
		if t.Failed() { // What was seen, and a free queue for the next test.
			t.Logf("%s: %+v, kernel %+v, kick: %v", p.Info().Name, p.Stats(), p.KernelStats(), p.Err())
			_ = p.Close()
		}
	})
	awaitCarrier(t, h)
	return p
}

// hwRing is what NICs have room for in their receive rings by default, or more.
const hwRing = 512

// modes are the ways a program is attached.
var modes = []struct {
	name string
	flag link.XDPAttachFlags
}{
	{"native", link.XDPDriverMode},
	{"generic", link.XDPGenericMode},
}

// bench is a lab with programs at both ends.
type bench struct {
	*lab.Lab
	a, b *ebpf.Map
}

func newBench(t testing.TB, mode link.XDPAttachFlags) *bench {
	t.Helper()
	return newBenchOf(t, mode, lab.Config{})
}

func newBenchOf(t testing.TB, mode link.XDPAttachFlags, cfg lab.Config) *bench {
	t.Helper()
	testutil.Privileged(t)
	l := lab.ForTest(t, cfg)
	if lab.OnNICs() {
		oneQueue(t, l.A)
		oneQueue(t, l.B)
	}
	b := &bench{l, attach(t, l.A, mode), attach(t, l.B, mode)}
	if lab.OnNICs() {
		awaitCarrier(t, l.A)
		awaitCarrier(t, l.B)
	}
	return b
}

// oneQueue has h's interface receive all on its first queue, which the tests serve, as long as
// the test runs.
func oneQueue(t testing.TB, h *lab.Host) {
	t.Helper()
	var queues []string
	if err := h.Do(func() (err error) {
		queues, err = filepath.Glob("/sys/class/net/" + h.Interface + "/queues/rx-*")
		return err
	}); err != nil || len(queues) == 1 {
		return
	}
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	set := func(n int) {
		t.Helper()
		cmd := h.Command(context.Background(), ethtool, "-L", h.Interface, "combined", strconv.Itoa(n))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	set(1)
	t.Cleanup(func() { set(len(queues)) })
}

// awaitCarrier waits for the carrier: some drivers restart when a program is attached, or a
// socket bound, and then it goes for a while.
func awaitCarrier(t testing.TB, h *lab.Host) {
	t.Helper()
	testutil.Eventually(t, patience, func() bool { return running(h) }, h.Interface+" to have carrier")
}

// ports opens a port at each end.
func (b *bench) ports(t testing.TB, cfg xsk.Config) (pa, pb *xsk.Port) {
	t.Helper()
	pa, pb = open(t, b.A, b.a, cfg), open(t, b.B, b.b, cfg)
	if lab.OnNICs() {
		awaitWay(t, pa, pb)
		awaitWay(t, pb, pa)
	}
	return pa, pb
}

// eachMode runs f over native and generic XDP.
func eachMode(t *testing.T, f func(t *testing.T, b *bench)) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			if lab.OnNICs() && m.flag != link.XDPDriverMode {
				t.Skip("the NICs are for zero-copy, which generic mode has not")
			}
			f(t, newBench(t, m.flag))
		})
	}
}

// closePorts closes ports and fails if one misses a frame.
func closePorts(t testing.TB, ports ...*xsk.Port) {
	t.Helper()
	for _, p := range ports {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
