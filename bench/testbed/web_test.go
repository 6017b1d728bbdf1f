package testbed

import (
	"strings"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const good = `Running 1s test @ http://10.77.0.1:5002/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms    1.21ms  20.36ms   92.34%
    Req/Sec    78.12k     5.91k   84.87k    72.73%
  85412 requests in 1.10s, 11.08MB read
Requests/sec:  77645.12
Transfer/sec:     10.07MB
`
	r, err := parseWrk([]byte(good))
	if err != nil || r.Count != 85412 || r.Elapsed != 1100*time.Millisecond {
		t.Errorf("%+v, %v, want 85412 in 1.1s", r, err)
	}
	for out, want := range map[string]string{
		"": "does not say",
		good + "  Socket errors: connect 0, read 3, write 0, timeout 0\n": "read 3",
		good + "  Non-2xx or 3xx responses: 7\n":                          "responses: 7",
	} {
		if _, err := parseWrk([]byte(out)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
