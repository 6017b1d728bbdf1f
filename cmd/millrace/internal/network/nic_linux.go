package network

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// DefaultNIC returns the interface that the default route uses. When there is none, or
// more than one, the error names the interfaces there are.
func DefaultNIC() (string, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return "", fmt.Errorf("network: list routes: %w", err)
	}
	found := make(map[int]bool)
	for _, r := range routes {
		if r.Dst == nil || r.Dst.IP.IsUnspecified() {
			if ones := prefixLen(r); ones == 0 && r.LinkIndex != 0 {
				found[r.LinkIndex] = true
			}
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		return "", fmt.Errorf("network: list interfaces: %w", err)
	}
	var names []string
	var nic string
	for _, l := range links {
		a := l.Attrs()
		names = append(names, a.Name)
		if found[a.Index] {
			nic = a.Name
		}
	}
	switch len(found) {
	case 1:
		return nic, nil
	case 0:
		return "", fmt.Errorf("no interface has a default route: choose one of %s", strings.Join(names, ", "))
	}
	return "", fmt.Errorf("%d interfaces have a default route: choose one of %s", len(found), strings.Join(names, ", "))
}

// prefixLen is how many bits of the destination a route looks at.
func prefixLen(r netlink.Route) int {
	if r.Dst == nil {
		return 0
	}
	ones, _ := r.Dst.Mask.Size()
	return ones
}
