package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// listens says whether a socket of the kernel listens on a port in a namespace, without
// connecting to it.
func listens(t testing.TB, h *lab.Host, port int) bool {
	t.Helper()
	const stateListen = "0A"
	found := false
	err := h.Do(func() error {
		for _, table := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
			text, err := os.ReadFile(table)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(text)) {
				f := strings.Fields(line)
				if len(f) > 3 && f[3] == stateListen && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
					found = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
