package pin_test

import (
	"slices"
	"testing"

	"github.com/millrace-tcp/millrace/internal/pin"
)

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		want          string
		allowed, near []int
		workers       int
		cpus          []int // nil: an error
	}{
		{"auto", []int{0, 1, 2, 3}, nil, 2, []int{0, 1}},
		{"auto", []int{0, 1, 2, 3}, []int{2, 3}, 3, []int{2, 3, 0}},
		{"auto", []int{1, 3}, []int{2, 3}, 2, []int{3, 1}},
		{"auto", []int{5}, []int{2, 3}, 3, []int{5, 5, 5}},
		{"auto", nil, nil, 1, nil},
		{"3,1", []int{0, 1, 2, 3}, []int{0}, 2, []int{3, 1}},
		{"1-2", []int{0, 1, 2, 3}, nil, 4, []int{1, 2, 1, 2}},
		{"0-3", []int{0, 1, 2, 3}, nil, 1, []int{0}},
		{"4", []int{0, 1, 2, 3}, nil, 1, nil},
		{"0,0", []int{0, 1}, nil, 1, nil},
	} {
		got, err := pin.Choose(tt.want, tt.allowed, tt.near, tt.workers)
		if !slices.Equal(got, tt.cpus) || (err == nil) != (tt.cpus != nil) {
			t.Errorf("%s of %v, near %v: got %v, %v, want %v", tt.want, tt.allowed, tt.near, got, err, tt.cpus)
		}
	}
}

func TestParseList(t *testing.T) {
	for s, want := range map[string][]int{
		"0": {0}, "0-3,8": {0, 1, 2, 3, 8}, "8,0-1": {8, 0, 1}, "2-2": {2},
		"": nil, ",": nil, "1,": nil, "a": nil, "-1": nil, "1-": nil, "3-1": nil, "1,0-2": nil, "8192": nil, "0-70000": nil, "+1": nil, " 1": nil,
	} {
		if got, err := pin.ParseList(s); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
}
