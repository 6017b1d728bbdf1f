// Package oracle judges what a test measured by the number that an RFC or a model gives, and
// leaves a line of the table that "make oracles" prints. Tests of any package use it; their
// names begin with TestOracle.
package oracle

import (
	"fmt"
	"math"
	"strconv"
	"testing"
)

// Is wants got to be want, up to a tolerance in the same unit; 0 is exactly. id is the number
// of the oracle, such as O6, and what says which of its numbers it is.
func Is(t testing.TB, id, what string, want, got, tolerance float64) {
	t.Helper()
	expected := number(want)
	if tolerance > 0 {
		expected += " ± " + number(tolerance)
	}
	judge(t, id, what, expected, got, math.Abs(got-want) <= tolerance)
}

// Near wants got to be want, up to a share of it.
func Near(t testing.TB, id, what string, want, got, share float64) {
	t.Helper()
	expected := fmt.Sprintf("%s ± %s %%", number(want), number(100*share))
	judge(t, id, what, expected, got, math.Abs(got-want) <= share*want)
}

// Within wants got to be from low to high.
func Within(t testing.TB, id, what string, low, high, got float64) {
	t.Helper()
	judge(t, id, what, number(low)+" … "+number(high), got, got >= low && got <= high)
}

func judge(t testing.TB, id, what, expected string, got float64, ok bool) {
	t.Helper()
	verdict := "ok"
	if !ok {
		verdict = "WRONG"
	}
	t.Logf("oracle\t%s\t%s\t%s\t%s\t%s", id, what, expected, number(got), verdict)
	if !ok {
		t.Errorf("%s, %s: got %s, want %s", id, what, number(got), expected)
	}
}

// number writes seven digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 7, 64) }
