package wire

import (
	"encoding/binary"
	"errors"

	"github.com/millrace-tcp/millrace/stack/seq"
)

// Why ParseTCP refused a segment. They are distinct so that each has its own counter, and
// are returned as they are, never wrapped.
var (
	// ErrTCPShort: fewer octets than the header of 20.
	ErrTCPShort = errors.New("wire: parse TCP: shorter than a header")
	// ErrTCPOffset: the data offset is below 5, or points past the end of the segment.
	ErrTCPOffset = errors.New("wire: parse TCP: data offset outside the segment")
	// ErrTCPOptions: an option whose length is below 2 or runs out of the header.
	ErrTCPOptions = errors.New("wire: parse TCP: illegal option length")
)

const (
	tcpHeaderMin  = 20
	tcpHeaderMax  = 60
	tcpOptionsMax = tcpHeaderMax - tcpHeaderMin
)

// The kinds of TCP options (RFC 9293, section 3.1; RFC 7323; RFC 2018).
const (
	optEOL           = 0
	optNOP           = 1
	optMSS           = 2
	optWScale        = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
)

// The lengths of TCP options, kind and length octets included.
const (
	lenMSS           = 4
	lenWScale        = 3
	lenSACKPermitted = 2
	lenTimestamps    = 10
	lenSACKBlock     = 8
)

// onlyTimestamps is how a segment begins its options when timestamps are the only one:
// NOP, NOP, kind 8, length 10 (RFC 7323, appendix A).
const onlyTimestamps = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | lenTimestamps

// ParseTCP reads the TCP header at the start of b into s. b is header and payload, cut to
// the length that IP gives; s.Payload is a view of it. Every field of s is set, unless the
// error is ErrTCPShort or ErrTCPOffset. The checksum is not looked at.
//
// "A TCP implementation MUST (MUST-6) ignore without error any TCP Option it does not
// implement, assuming that the option has a length field." So an unknown option, and a
// known one of the wrong length, is stepped over. Where the length itself is illegal there
// is no next option: ErrTCPOptions is returned with s complete but for the options from
// there on. The caller drops the segment and counts it. The reset that MUST-7 suggests
// would let an attacker who cannot see the connection end it.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.1
func ParseTCP(b []byte, s *Segment) error {
	if len(b) < tcpHeaderMin {
		return ErrTCPShort
	}
	off := int(b[12]>>4) * 4
	if off < tcpHeaderMin || off > len(b) {
		return ErrTCPOffset
	}
	s.SrcPort = binary.BigEndian.Uint16(b[0:2])
	s.DstPort = binary.BigEndian.Uint16(b[2:4])
	s.SEQ = seq.Num(binary.BigEndian.Uint32(b[4:8]))
	s.ACK = seq.Num(binary.BigEndian.Uint32(b[8:12]))
	s.Flags = Flags(b[12]&1)<<8 | Flags(b[13])
	s.WND = binary.BigEndian.Uint16(b[14:16])
	s.UP = binary.BigEndian.Uint16(b[18:20])
	s.Opt = Options{}
	s.Payload, s.Rest, s.Placed = b[off:], nil, false
	if off == tcpHeaderMin {
		return nil
	}
	opts := b[tcpHeaderMin:off]
	if len(opts) == 12 && binary.BigEndian.Uint32(opts) == onlyTimestamps {
		s.Opt.setTimestamps(opts[2:12])
		return nil
	}
	return s.Opt.parse(opts, s.Flags&SYN != 0)
}

// parse reads the options in b. The rest of the list after "end of option list" is padding
// and not looked at. Of two options of one kind the later counts.
func (o *Options) parse(b []byte, syn bool) error {
	for len(b) > 0 {
		switch b[0] {
		case optEOL:
			return nil
		case optNOP:
			b = b[1:]
			continue
		}
		if len(b) < 2 {
			return ErrTCPOptions
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return ErrTCPOptions
		}
		o.set(b[:n], syn)
		b = b[n:]
	}
	return nil
}

// set takes over one option, whose length octet agrees with len(b).
func (o *Options) set(b []byte, syn bool) {
	switch b[0] {
	case optMSS, optWScale, optSACKPermitted:
		// These three are for segments with SYN. "A Window Scale option in a segment
		// without a SYN bit MUST be ignored" (RFC 7323, section 2.2); the others must not
		// be sent there (RFC 9293, section 3.2, and RFC 2018, section 2).
		if syn {
			o.setSYN(b)
		}
	case optTimestamps:
		if len(b) == lenTimestamps {
			o.setTimestamps(b)
		}
	case optSACK:
		o.setSACK(b)
	case optAccECN0, optAccECN1:
		if o.AccECN.set(b) {
			o.Has |= HasAccECN
		}
	}
}

func (o *Options) setSYN(b []byte) {
	switch {
	case b[0] == optMSS && len(b) == lenMSS:
		o.Has |= HasMSS
		o.MSS = binary.BigEndian.Uint16(b[2:4])
	case b[0] == optWScale && len(b) == lenWScale:
		o.Has |= HasWScale
		o.WScale = b[2]
	case b[0] == optSACKPermitted && len(b) == lenSACKPermitted:
		o.Has |= HasSACKPermitted
	}
}

func (o *Options) setTimestamps(b []byte) {
	o.Has |= HasTimestamps
	o.TSVal = binary.BigEndian.Uint32(b[2:6])
	o.TSEcr = binary.BigEndian.Uint32(b[6:10])
}

func (o *Options) setSACK(b []byte) {
	b = b[2:]
	if len(b) == 0 || len(b)%lenSACKBlock != 0 {
		return
	}
	o.Has |= HasSACK
	o.NSACK = 0
	o.SACK = [SACKMax]seq.Range{}
	for len(b) >= lenSACKBlock && o.NSACK < SACKMax {
		o.SACK[o.NSACK] = seq.Range{
			Start: seq.Num(binary.BigEndian.Uint32(b[0:4])),
			End:   seq.Num(binary.BigEndian.Uint32(b[4:8])),
		}
		o.NSACK++
		b = b[lenSACKBlock:]
	}
}
