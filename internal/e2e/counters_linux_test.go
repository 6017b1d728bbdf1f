package e2e

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// counters asks a program that serves metricsAddress for its page of metrics.
func counters(t testing.TB, h *lab.Host) string {
	t.Helper()
	r, err := client(h).Get("http://" + metricsAddress + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %s, %v", r.Status, err)
	}
	return string(text)
}

var eventLine = regexp.MustCompile(`(?m)^millrace_tcp_events_total\{event="(\w+)",queue="\d+"\} (\S+)$`)

// eventCounts returns the events of TCP by name, those of all queues together.
func eventCounts(t testing.TB, h *lab.Host) map[string]int64 {
	t.Helper()
	n := make(map[string]int64)
	for _, found := range eventLine.FindAllStringSubmatch(counters(t, h), -1) {
		v, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			t.Fatalf("metrics: %q: %v", found[0], err)
		}
		n[found[1]] += int64(v)
	}
	if len(n) == 0 {
		t.Fatal("metrics: there are no events of TCP")
	}
	return n
}

// events names the events that happened, "" for all, in the page's order.
func events(t testing.TB, h *lab.Host, part string) string {
	t.Helper()
	var words []string
	for _, found := range eventLine.FindAllStringSubmatch(counters(t, h), -1) {
		if found[2] != "0" && strings.Contains(found[1], part) {
			words = append(words, fmt.Sprintf("%s %s", found[1], found[2]))
		}
	}
	return strings.Join(words, ", ")
}
