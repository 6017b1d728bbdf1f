package doctor

import (
	"fmt"
	"strings"
)

// version is a kernel's, of which the first two numbers matter.
type version struct {
	major, minor int
	release      string
}

func parseVersion(release string) version {
	v := version{release: release}
	_, _ = fmt.Sscanf(release, "%d.%d", &v.major, &v.minor) // what is no number stays 0
	return v
}

func (v version) before(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}

// needs are what a kernel must have, or had better, the newest last.
var needs = []struct {
	major, minor int
	what         string
	must         bool
}{
	{5, 9, "attaching by a link, which ends with the process", true},
	{5, 11, "busy polling that is preferred to interrupts", false},
	{5, 18, "XDP on interfaces of more than a page of MTU", false},
	{6, 3, "telling what a driver's XDP can do", false},
	{6, 6, "packets in several buffers", false},
	{6, 8, "checksums by the NIC on transmission", false},
	{6, 18, "more than 32 packets a kick in copy mode", false},
}

// kernelCheck says what a kernel lacks.
func kernelCheck(v version) Check {
	c := Check{Name: "kernel", Status: OK, Found: v.release}
	var lacks []string
	for _, n := range needs {
		if !v.before(n.major, n.minor) {
			continue
		}
		lacks = append(lacks, fmt.Sprintf("%s (%d.%d)", n.what, n.major, n.minor))
		if n.must {
			c.Status = Fail
		} else if c.Status == OK {
			c.Status = Note
		}
	}
	if len(lacks) > 0 {
		c.Found += " lacks " + join(lacks)
		c.Remedy = "a newer kernel"
	} else {
		c.Found += " has all that millrace uses"
	}
	return c
}

// join lists words.
func join(words []string) string { return strings.Join(words, "; ") }
