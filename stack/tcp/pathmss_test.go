package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 1191, section 6.3: the path's MTU may become known before the peer's SYN has come. Its
// MSS option does not make segments larger than the path carries.
func TestPathMSSBeforeHandshake(t *testing.T) {
	s := client(t, tcp.Config{})
	s.out()
	s.SetPathMSS(s.now, 600)
	s.in(wire.SYN|wire.ACK, 0, 0, 1, mss(1460))
	s.write(1200)
	s.want("segments of 600", data(1, 600, 2)...)
}
