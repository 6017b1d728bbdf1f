package raw

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// What a Reflector answers is what a peer would that acknowledges all, takes the request, and
// sends back the rest, in order, and nothing twice over.
func TestAnswers(t *testing.T) {
	const isn = seq.Num(0xffffffe0) // it wraps
	request := append([]byte("mrb2"), make([]byte, bench.RequestLen-4)...)
	for _, tt := range []struct {
		what string
		in   wire.Segment
		want string // relative to the client's number for both, which is ours; empty is none
	}{
		{"the handshake", wire.Segment{SEQ: isn, Flags: wire.SYN}, "S. 0:0(0) ack 1 win 65535 <mss 0>"},
		{"its end", wire.Segment{SEQ: isn.Add(1), Flags: wire.ACK}, ""},
		{"the request", wire.Segment{SEQ: isn.Add(1), Flags: wire.ACK | wire.PSH, Payload: request}, ". 1:1(0) ack 41 win 65535"},
		{"a message", wire.Segment{SEQ: isn.Add(41), Flags: wire.ACK | wire.PSH, Payload: []byte("ab")}, "P. 1:3(2) ack 43 win 65535"},
		{"the next", wire.Segment{SEQ: isn.Add(43), Flags: wire.ACK, Payload: []byte("c")}, ". 3:4(1) ack 44 win 65535"},
		{"the end", wire.Segment{SEQ: isn.Add(44), Flags: wire.ACK | wire.FIN}, "F. 4:4(0) ack 45 win 65535"},
		{"a reset", wire.Segment{SEQ: isn.Add(44), Flags: wire.RST}, ""},
	} {
		back, ok := answerTo(&tt.in)
		if ok != (tt.want != "") {
			t.Fatalf("%s: answered %v", tt.what, ok)
		}
		if !ok {
			continue
		}
		if got := back.Relative(isn, isn); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, got, tt.want)
		}
		if back.Payload != nil && !bytes.Equal(back.Payload, tt.in.Payload) {
			t.Errorf("%s: got %q back", tt.what, back.Payload)
		}
	}
}
