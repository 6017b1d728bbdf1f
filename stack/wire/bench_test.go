package wire_test

import (
	"fmt"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

var sink uint64

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 64, 536, 1460, 65000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := pattern(n, 1)
			b.SetBytes(int64(n))
			for b.Loop() {
				sink += uint64(wire.Sum(buf, 0))
			}
		})
	}
}

func BenchmarkCopySum(b *testing.B) {
	for _, n := range []int{20, 64, 536, 1460, 65000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			src, dst := pattern(n, 1), make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				sink += uint64(wire.CopySum(dst, src))
			}
		})
	}
}

func BenchmarkParseTCP(b *testing.B) {
	for name, s := range map[string]*wire.Segment{"timestamps": dataSegment(0), "syn": synSegment(), "sack": sackSegment(3)} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 60)
			buf = buf[:wire.PutTCP(buf, s)]
			var got wire.Segment
			for b.Loop() {
				if wire.ParseTCP(buf, &got) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkPutTCP(b *testing.B) {
	for name, s := range map[string]*wire.Segment{"timestamps": dataSegment(0), "syn": synSegment(), "sack": sackSegment(3)} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 60)
			for b.Loop() {
				sink += uint64(wire.PutTCP(buf, s))
			}
		})
	}
}

func BenchmarkParseIP(b *testing.B) {
	for _, v := range versions {
		b.Run(v.name, func(b *testing.B) {
			t := v.template(b, 0)
			frame := buildFrame(b, &t, dataSegment(0))
			var p wire.Packet
			for b.Loop() {
				if wire.ParseIP(frame[wire.EthernetLen:], &p) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

// BenchmarkHeader is a pure acknowledgement from nothing to a finished frame.
func BenchmarkHeader(b *testing.B) {
	for _, v := range versions {
		b.Run(v.name, func(b *testing.B) {
			t := v.template(b, 0)
			s, frame := dataSegment(0), make([]byte, 128)
			for b.Loop() {
				n := wire.PutTCP(frame[t.Len():], s)
				h := t.Put(frame, n, 7)
				t.Finish(frame[:h+n])
			}
		})
	}
}

// BenchmarkTemplate is the part of BenchmarkHeader that is not TCP's.
func BenchmarkTemplate(b *testing.B) {
	for _, v := range versions {
		b.Run(v.name, func(b *testing.B) {
			t := v.template(b, 0)
			frame := make([]byte, 128)
			for b.Loop() {
				sink += uint64(t.Put(frame, 1480, 7))
			}
		})
	}
}
