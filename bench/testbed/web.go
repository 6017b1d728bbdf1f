package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// browse has wrk ask the stack's web server, on as many connections as there are flows, for
// the workload's time rounded up to seconds, which is what wrk takes.
func (t *target) browse(ctx context.Context, w bench.Workload) (r bench.Result, err error) {
	if t.lab == nil || t.server == nil {
		return r, fmt.Errorf("testbed: %s has no web server", t.stack)
	}
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		return r, fmt.Errorf("testbed: a stock client is needed, on Debian that of package wrk: %w", err)
	}
	seconds := int(math.Ceil(w.Time.Seconds()))
	cmd := t.lab.B.Command(ctx, wrk, "-t1", "-c"+strconv.Itoa(max(1, w.Flows)), "-d"+strconv.Itoa(seconds)+"s", "http://"+t.web+"/")
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return r, context.Cause(ctx)
	}
	if err != nil {
		return r, fmt.Errorf("testbed: run wrk: %w: %s", err, bytes.TrimSpace(out))
	}
	return parseWrk(out)
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in ([\d.]+)(us|ms|s|m)`)
	wrkErrors   = regexp.MustCompile(`(?m)^ *(Socket errors:.*|Non-2xx or 3xx responses:.*)$`)
)

// parseWrk reads what wrk prints. Answers that are errors are no result.
func parseWrk(out []byte) (r bench.Result, err error) {
	if bad := wrkErrors.Find(out); bad != nil {
		return r, fmt.Errorf("testbed: wrk says %s", bytes.TrimSpace(bad))
	}
	m := wrkRequests.FindSubmatch(out)
	if m == nil {
		return r, errors.New("testbed: wrk does not say how many requests it made")
	}
	if r.Count, err = strconv.ParseInt(string(m[1]), 10, 64); err != nil {
		return r, fmt.Errorf("testbed: read wrk's count: %w", err)
	}
	if r.Elapsed, err = time.ParseDuration(string(m[2]) + string(m[3])); err != nil {
		return r, fmt.Errorf("testbed: read wrk's time: %w", err)
	}
	return r, nil
}
