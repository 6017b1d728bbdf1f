// Package wire is the form of what crosses the link: views of headers, TCP options and the
// internet checksum. Everything from the wire is hostile: parsers check lengths once, and
// what they return cannot panic. Nothing is copied and nothing escapes to the heap.
package wire

import "github.com/millrace-tcp/millrace/stack/seq"

// Flags are the control bits of a TCP header (RFC 9293, section 3.1, and RFC 9768 for AE).
type Flags uint16

// The control bits, as they lie in octets 12 and 13 of the header.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// Has says whether all bits of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// String returns the bits that are set in packetdrill's letters: "S.", "FP.", ".".
func (f Flags) String() string {
	const letters = "FSRP.UEWA"
	b := make([]byte, 0, len(letters))
	for i := range letters {
		if i != 4 && f&(1<<i) != 0 {
			b = append(b, letters[i])
		}
	}
	if f&ACK != 0 {
		b = append(b, '.')
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

// Segment is a TCP segment in host form, as the core reads it. Payload is a view of the
// frame it came in and lives no longer than that, and so is Rest: the pieces of the payload
// that lie in further frames, in order. The reader may cut both.
type Segment struct {
	SrcPort, DstPort uint16
	SEQ, ACK         seq.Num
	Flags            Flags
	WND              uint16 // as sent, not scaled
	UP               uint16 // urgent pointer
	ECN              uint8  // codepoint of the packet that carries it: ECNNotECT, ECNCE …
	Opt              Options
	Payload          []byte
	Rest             [][]byte
	Placed           bool // the payload lies in the receive queue already
}

// DataLen is how many octets of payload there are.
func (s *Segment) DataLen() int {
	n := len(s.Payload)
	for _, p := range s.Rest {
		n += len(p)
	}
	return n
}

// CutBefore drops the first n octets of the payload, or all there is. SEQ stays.
func (s *Segment) CutBefore(n int) {
	for n > len(s.Payload) && len(s.Rest) > 0 {
		n -= len(s.Payload)
		s.Payload, s.Rest = s.Rest[0], s.Rest[1:]
	}
	s.Payload = s.Payload[min(n, len(s.Payload)):]
}

// CutTo keeps the first n octets of the payload and drops the others.
func (s *Segment) CutTo(n int) {
	s.Payload, s.Rest = cutPieces(s.Payload, s.Rest, max(0, n))
}

// cutPieces returns the first n octets of first and rest. It changes the last piece of rest
// that is kept.
func cutPieces(first []byte, rest [][]byte, n int) ([]byte, [][]byte) {
	if n <= len(first) {
		return first[:n], nil
	}
	n -= len(first)
	for i, p := range rest {
		if n <= len(p) {
			rest[i] = p[:n]
			return first, rest[:i+1]
		}
		n -= len(p)
	}
	return first, rest
}

// LEN is the number of sequence numbers that the segment occupies (SEG.LEN of RFC 9293).
func (s *Segment) LEN() int {
	n := s.DataLen()
	if s.Flags&SYN != 0 {
		n++
	}
	if s.Flags&FIN != 0 {
		n++
	}
	return n
}

// SACKMax is the most SACK blocks that fit a header (RFC 2018, section 3).
const SACKMax = 4

// Options are the TCP options that the stack knows. An option that did not come has its
// zero value and its bit in Has clear.
type Options struct {
	Has    OptionSet
	MSS    uint16
	WScale uint8 // shift count as sent; the reader limits it to 14
	NSACK  uint8
	TSVal  uint32
	TSEcr  uint32
	SACK   [SACKMax]seq.Range // the first NSACK are valid
	AccECN AccECN
}

// OptionSet says which options came.
type OptionSet uint8

// The options of an OptionSet.
const (
	HasMSS OptionSet = 1 << iota
	HasWScale
	HasSACKPermitted
	HasSACK
	HasTimestamps
	HasAccECN
)
