package seq_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
)

const top = seq.Num(0xffffffff)

func TestOrderAcrossTheWrap(t *testing.T) {
	for _, tt := range []struct {
		a, b         seq.Num
		less, lessEq bool
		diff         int
	}{
		{1, 2, true, true, -1},
		{2, 2, false, true, 0},
		{top, 0, true, true, -1},
		{0, top, false, false, 1},
		{top - 9, 10, true, true, -20},
		{1, 0x80000000, true, true, -(1<<31 - 1)},
	} {
		if got := tt.a.Less(tt.b); got != tt.less {
			t.Errorf("%d.Less(%d) = %v, want %v", tt.a, tt.b, got, tt.less)
		}
		if got := tt.a.LessEq(tt.b); got != tt.lessEq {
			t.Errorf("%d.LessEq(%d) = %v, want %v", tt.a, tt.b, got, tt.lessEq)
		}
		if got := tt.a.Sub(tt.b); got != tt.diff {
			t.Errorf("%d.Sub(%d) = %d, want %d", tt.a, tt.b, got, tt.diff)
		}
		if got := tt.b.Add(tt.a.Sub(tt.b)); got != tt.a {
			t.Errorf("b + (a - b) = %d, want %d", got, tt.a)
		}
	}
}

func TestIn(t *testing.T) {
	for _, tt := range []struct {
		s, first seq.Num
		n        int
		want     bool
	}{
		{5, 5, 1, true},
		{6, 5, 1, false},
		{4, 5, 10, false},
		{5, 5, 0, false},
		{2, top - 2, 10, true},
		{7, top - 2, 10, false},
	} {
		if got := tt.s.In(tt.first, tt.n); got != tt.want {
			t.Errorf("%d.In(%d, %d) = %v, want %v", tt.s, tt.first, tt.n, got, tt.want)
		}
	}
}

func TestMinMaxRange(t *testing.T) {
	if got := seq.Max(top, 3); got != 3 {
		t.Errorf("Max = %d, want 3", got)
	}
	if got := seq.Min(top, 3); got != top {
		t.Errorf("Min = %d, want %d", got, top)
	}
	r := seq.Range{Start: top, End: 4}
	if r.Len() != 5 || r.Empty() {
		t.Errorf("Len = %d, Empty = %v, want 5, false", r.Len(), r.Empty())
	}
	if !(seq.Range{Start: 4, End: 4}).Empty() {
		t.Error("a range without octets is not empty")
	}
}
