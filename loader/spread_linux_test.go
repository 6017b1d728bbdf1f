package loader

import (
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// notification is a notification of ethtool's about an interface.
func notification(ifindex int) []byte {
	body := slices.Concat([]byte{unix.ETHTOOL_MSG_CHANNELS_NTF, 1, 0, 0}, interfaceHeader(ifindex).Serialize())
	header := unix.NlMsghdr{Len: uint32(unix.NLMSG_HDRLEN + len(body)), Type: 21}
	return slices.Concat(nl.Uint32Attr(header.Len), []byte{byte(header.Type), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, body)
}

func TestNotificationsAboutUs(t *testing.T) {
	if !tellsOf(notification(7), 7) || tellsOf(notification(8), 7) || !tellsOf(slices.Concat(notification(8), notification(7)), 7) {
		t.Error("notifications of interfaces 7 and 8 are not told apart")
	}
	if tellsOf(nil, 7) {
		t.Error("an empty message tells of something")
	}
}

// Whatever the kernel says, reading it ends, and what is cut short is taken to be about us.
func FuzzNotification(f *testing.F) {
	f.Add(notification(7))
	f.Add(notification(7)[:30])
	odd := nl.NewRtAttr(ethtoolHeader, nil)
	odd.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_NAME, []byte("veth0"))
	short := slices.Clone(notification(7))
	f.Add(append(short[:20], odd.Serialize()...))
	f.Fuzz(func(t *testing.T, b []byte) { tellsOf(b, 7) })
}

// follow follows the interface of a host; each spreading that comes is sent.
func follow(t *testing.T, h *lab.Host) (v *SpreadView, changes chan Spreading) {
	t.Helper()
	changes = make(chan Spreading, 16)
	err := h.Do(func() (err error) {
		v, err = FollowSpread(h.Index, slog.New(slog.DiscardHandler), func(s Spreading) { changes <- s })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v, changes
}

func wantChange(t *testing.T, changes chan Spreading) Spreading {
	t.Helper()
	select {
	case s := <-changes:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is heard of the change")
		return Spreading{}
	}
}

// The kernel tells when the channels change, to who listens in the right namespace.
func TestChannelsAreFollowed(t *testing.T) {
	testutil.Privileged(t)
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	if lab.OnNICs() {
		t.Skip("needs a veth")
	}
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 2})
	v, changes := follow(t, l.A)
	if s := v.Spreading(); s.Queues != 2 || len(s.Beyond(1)) != 1 || s.Known(true) {
		t.Errorf("at first: %+v, want two queues, and no RSS", s)
	}
	if _, known := v.Queue(netip.MustParseAddrPort("10.77.0.1:1"), netip.MustParseAddrPort("10.77.0.2:2")); known {
		t.Error("a veth's queue is known")
	}
	for _, n := range []int{1, 2} {
		cmd := l.A.Command(t.Context(), ethtool, "-L", l.A.Interface, "rx", strconv.Itoa(n))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if s := wantChange(t, changes); s.Queues != n {
			t.Errorf("%d queues are heard of, want %d", s.Queues, n)
		}
	}
	v.Doubt() // Nothing has changed: that is no change.
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	if len(changes) != 0 {
		t.Errorf("heard of %+v", <-changes)
	}
}

// Of an indirection table that another process changes, the change is heard, or seen by who doubts.
func TestTableIsFollowed(t *testing.T) {
	testutil.Privileged(t)
	if !lab.OnNICs() {
		t.Skipf("needs two NICs with RSS, in %s", lab.EnvNICs)
	}
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	l := lab.ForTest(t, lab.Config{})
	v, changes := follow(t, l.A)
	before := v.Spreading()
	if len(before.Table) == 0 || before.Queues < 2 {
		t.Skipf("no RSS over several queues: %+v", before)
	}
	for _, equal := range []string{"1", strconv.Itoa(before.Queues)} {
		cmd := l.A.Command(t.Context(), ethtool, "-X", l.A.Interface, "equal", equal)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		v.Doubt()
		if s := wantChange(t, changes); (len(s.Beyond(1)) == 0) != (equal == "1") {
			t.Errorf("equal %s: %+v", equal, s)
		}
	}
}
