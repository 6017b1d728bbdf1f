package testbed

import (
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// cutSegments has a host's kernel send no more than a segment at once. A program that takes
// packets in one piece gets those of 64 KiB not at all in generic mode, where nobody cuts them.
func cutSegments(t *target, h *lab.Host) error {
	err := h.Do(func() error {
		l, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		return netlink.LinkSetGSOMaxSegs(l, 1)
	})
	if err != nil {
		return fmt.Errorf("testbed: have %s send segment by segment: %w", h.Interface, err)
	}
	t.notes = append(t.notes, "peer without large segments")
	return nil
}
