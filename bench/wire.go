package bench

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// A connection begins with a request, after which the kind decides:
//
//	Bulk, Exact upload     the client sends and closes its half; the server answers with a tally
//	Bulk download          the server sends and closes
//	Exact download         the server sends, then a tally, and closes
//	RequestResponse,       the server sends back each message until the client closes
//	Connect
//	Idle                   the server answers with an octet and leaves it open; when the
//	                       first connection with this seed closes, it closes all of them

// magic begins a request, so that a stray connection is not taken for one: "mrb2".
const magic = 0x6d726232

// RequestLen is how long a request is, in octets.
const RequestLen = 40

// IsRequest says whether b looks like a request, and nothing else.
func IsRequest(b []byte) bool {
	return len(b) == RequestLen && binary.BigEndian.Uint32(b) == magic
}

// request is a Workload as it crosses the wire, big-endian.
type request struct {
	Magic  uint32
	Kind   uint8
	Way    uint8
	_      uint16
	Size   uint64
	Octets uint64
	Time   uint64 // nanoseconds
	Seed   uint64 // of the octets of Exact; the group of Idle
}

// The numbers of kinds and ways in a request.
var (
	kindNumbers = [...]Kind{0: Bulk, 1: Exact, 2: RequestResponse, 3: Connect, 4: Idle}
	wayNumbers  = [...]Way{0: "", 1: Upload, 2: Download}
)

func writeRequest(c io.Writer, w Workload, seed uint64) error {
	r := request{Magic: magic, Size: uint64(w.Size), Octets: uint64(w.Octets), Time: uint64(w.Time), Seed: seed}
	for i, k := range kindNumbers {
		if k == w.Kind {
			r.Kind = uint8(i)
		}
	}
	for i, way := range wayNumbers {
		if way == w.Way {
			r.Way = uint8(i)
		}
	}
	if err := binary.Write(c, binary.BigEndian, r); err != nil {
		return fmt.Errorf("bench: send request: %w", err)
	}
	return nil
}

func readRequest(c io.Reader) (w Workload, seed uint64, err error) {
	var r request
	if err := binary.Read(c, binary.BigEndian, &r); err != nil {
		return w, 0, fmt.Errorf("bench: receive request: %w", err)
	}
	if r.Magic != magic || int(r.Kind) >= len(kindNumbers) || int(r.Way) >= len(wayNumbers) ||
		r.Size > SizeMax || r.Octets > OctetsMax || r.Time > uint64(TimeMax) {
		return w, 0, fmt.Errorf("bench: receive request: it is none")
	}
	w = Workload{
		Kind: kindNumbers[r.Kind], Way: wayNumbers[r.Way],
		Size: int(r.Size), Octets: int64(r.Octets), Time: time.Duration(r.Time),
	}
	return w, r.Seed, w.Check()
}

// tally is what one end tells the other about a transfer.
type tally struct {
	Octets uint64
	Sum    [sha256.Size]byte
}

// octets is the tally as write writes it.
func (t tally) octets() []byte {
	var b bytes.Buffer
	_ = t.write(&b) // a buffer takes all
	return b.Bytes()
}

func (t tally) write(c io.Writer) error {
	if err := binary.Write(c, binary.BigEndian, t); err != nil {
		return fmt.Errorf("bench: send tally: %w", err)
	}
	return nil
}

func readTally(c io.Reader) (t tally, err error) {
	if err := binary.Read(c, binary.BigEndian, &t); err != nil {
		return t, fmt.Errorf("bench: receive tally: %w", err)
	}
	return t, nil
}
