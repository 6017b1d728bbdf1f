package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 7661: the window of a sender that pauses lasts five minutes, and is then halved for
// every five more, down to the initial window.
func TestWindowAges(t *testing.T) {
	for _, tt := range []struct {
		policy tcp.IdlePolicy
		pause  time.Duration
		want   int // of 70,000 at first
	}{
		{tcp.IdleValidate, 4 * time.Minute, 70_000},
		{tcp.IdleValidate, 6 * time.Minute, 35_000},
		{tcp.IdleValidate, 11 * time.Minute, 17_500},
		{tcp.IdleValidate, 5 * time.Hour, 10_000},
		{tcp.IdleRestart, time.Minute, 10_000},
		{tcp.IdleKeep, 5 * time.Hour, 70_000},
	} {
		s := established(t, tcp.Config{Idle: tt.policy}, wire.Options{})
		s.write(60_000)
		for next := 1; next <= 60_000; next += 1000 {
			s.out()
			s.in(wire.ACK, 1, 0, next+1000)
		}
		s.wantCwnd("grown", 70_000)
		s.after(tt.pause)
		s.write(100)
		s.out()
		s.wantCwnd(tt.pause.String(), tt.want)
	}
}

// A sender that uses less than half of its window for five minutes has not validated it.
func TestWindowAgesWhileLittleIsSent(t *testing.T) {
	s := established(t, tcp.Config{Idle: tcp.IdleValidate}, wire.Options{})
	s.write(60_000)
	next := 1
	for ; next <= 60_000; next += 1000 {
		s.out()
		s.in(wire.ACK, 1, 0, next+1000)
	}
	for range 7 * 60 {
		s.write(1000)
		s.out()
		s.after(100 * time.Millisecond)
		next += 1000
		s.in(wire.ACK, 1, 0, next)
		s.after(900 * time.Millisecond)
	}
	s.wantCwnd("after seven minutes of a segment a second", 35_000)
}
