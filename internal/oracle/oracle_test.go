package oracle_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/millrace-tcp/millrace/internal/oracle"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	line   string
	failed bool
}

func (r *recorder) Helper()                      {}
func (r *recorder) Logf(f string, args ...any)   { r.line = fmt.Sprintf(f, args...) }
func (r *recorder) Errorf(f string, args ...any) { r.failed = true }

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		judge func(t testing.TB)
		line  string
	}{
		{func(t testing.TB) { oracle.Is(t, "O1", "x", 3, 3, 0) }, "oracle\tO1\tx\t3\t3\tok"},
		{func(t testing.TB) { oracle.Is(t, "O1", "x", 3, 4, 0) }, "oracle\tO1\tx\t3\t4\tWRONG"},
		{func(t testing.TB) { oracle.Is(t, "O1", "x", 3, 3.25, 0.25) }, "oracle\tO1\tx\t3 ± 0.25\t3.25\tok"},
		{func(t testing.TB) { oracle.Near(t, "O2", "y", 200, 203, 0.01) }, "oracle\tO2\ty\t200 ± 1 %\t203\tWRONG"},
		{func(t testing.TB) { oracle.Near(t, "O2", "y", 200, 198, 0.01) }, "oracle\tO2\ty\t200 ± 1 %\t198\tok"},
		{func(t testing.TB) { oracle.Within(t, "O3", "z", 1, 2, 2) }, "oracle\tO3\tz\t1 … 2\t2\tok"},
		{func(t testing.TB) { oracle.Within(t, "O3", "z", 1, 2, math.NaN()) }, "oracle\tO3\tz\t1 … 2\tNaN\tWRONG"},
	} {
		r := &recorder{}
		tt.judge(r)
		if r.line != tt.line || r.failed == (tt.line[len(tt.line)-2:] == "ok") {
			t.Errorf("got %q, failed is %v; want %q", r.line, r.failed, tt.line)
		}
	}
}
