package wire

import (
	"encoding/binary"
	"math/bits"
)

// HeaderLen is the length of the header that PutTCP writes for a segment with the options
// o: 20 to 60 octets, a multiple of 4.
func HeaderLen(o *Options) int {
	switch o.Has {
	case 0:
		return tcpHeaderMin
	case HasTimestamps:
		return tcpHeaderMin + 12
	}
	n := o.fixedLen()
	if k := o.sackFit(n); k > 0 {
		n += 4 + k*lenSACKBlock
	}
	return tcpHeaderMin + n
}

// fixedLen is the length of all options but SACK, with the padding that PutTCP gives them.
func (o *Options) fixedLen() int {
	n := 0
	if o.Has&HasMSS != 0 {
		n += 4
	}
	if o.Has&HasTimestamps != 0 {
		n += 12
	} else if o.Has&HasSACKPermitted != 0 {
		n += 4
	}
	if o.Has&HasWScale != 0 {
		n += 4
	}
	if o.Has&HasAccECN != 0 {
		n += o.AccECN.len()
	}
	return n
}

// SACKFit is how many SACK blocks fit beside the other options: four alone, three beside
// timestamps (RFC 2018, section 3).
func (o *Options) SACKFit() int {
	return min(SACKMax, (tcpOptionsMax-o.fixedLen()-4)/lenSACKBlock)
}

// sackFit is how many of its SACK blocks go after n octets of other options.
func (o *Options) sackFit(n int) int {
	if o.Has&HasSACK == 0 {
		return 0
	}
	return min(int(o.NSACK), SACKMax, (tcpOptionsMax-n-4)/lenSACKBlock)
}

// PutTCP writes the header of s with its options to the start of b and returns its length,
// HeaderLen(&s.Opt). The payload is not written, and the checksum field is zero. It
// returns 0, and has written nothing, if b is too short.
//
// Options are laid out on words of four octets in the order that Linux gives them: MSS,
// timestamps (SACK-permitted in place of their padding), window scale, AccECN, SACK. SACK blocks
// that do not fit are left out, the last ones first.
func PutTCP(b []byte, s *Segment) int {
	n, _ := PutTCPSum(b, s)
	return n
}

// PutTCPSum is PutTCP, and returns the sum of the header too. It is taken of the words as they are
// written: to load them again as other words would wait for the store of each.
func PutTCPSum(b []byte, s *Segment) (n int, sum Partial) {
	n = HeaderLen(&s.Opt)
	if len(b) < n {
		return 0, 0
	}
	h := b[:n]
	control := uint64(n/4)<<12 | uint64(s.Flags)&0x1ff
	sum = putWord(h[0:8], uint64(s.SrcPort)<<48|uint64(s.DstPort)<<32|uint64(s.SEQ)).
		Add(putWord(h[8:16], uint64(s.ACK)<<32|control<<16|uint64(s.WND))).
		Add(word16(s.UP))
	binary.BigEndian.PutUint32(h[16:20], uint32(s.UP)) // the checksum is zero
	switch s.Opt.Has {
	case 0:
	case HasTimestamps:
		o := &s.Opt
		binary.BigEndian.PutUint32(h[28:32], o.TSEcr)
		sum = sum.Add(putWord(h[20:28], onlyTimestamps<<32|uint64(o.TSVal))).
			Add(Partial(bits.ReverseBytes32(o.TSEcr)))
	default:
		s.Opt.put(h[20:])
		sum = sumWords(h[20:], sum)
	}
	return n, sum
}

// putWord writes w to b, and returns its sum.
func putWord(b []byte, w uint64) Partial {
	le := bits.ReverseBytes64(w)
	binary.LittleEndian.PutUint64(b, le)
	return Partial(le)
}

func putTimestamps(b []byte, lead uint32, o *Options) {
	binary.BigEndian.PutUint32(b[0:4], lead)
	binary.BigEndian.PutUint32(b[4:8], o.TSVal)
	binary.BigEndian.PutUint32(b[8:12], o.TSEcr)
}

// put writes the options to b, which has exactly the room they need.
func (o *Options) put(b []byte) {
	const (
		sackPermitted = optSACKPermitted<<8 | lenSACKPermitted
		padding       = optNOP<<8 | optNOP
	)
	if o.Has&HasMSS != 0 {
		binary.BigEndian.PutUint32(b, optMSS<<24|lenMSS<<16|uint32(o.MSS))
		b = b[4:]
	}
	switch {
	case o.Has.Has(HasTimestamps | HasSACKPermitted):
		putTimestamps(b, sackPermitted<<16|optTimestamps<<8|lenTimestamps, o)
		b = b[12:]
	case o.Has.Has(HasTimestamps):
		putTimestamps(b, onlyTimestamps, o)
		b = b[12:]
	case o.Has.Has(HasSACKPermitted):
		binary.BigEndian.PutUint32(b, padding<<16|sackPermitted)
		b = b[4:]
	}
	if o.Has&HasWScale != 0 {
		binary.BigEndian.PutUint32(b, optNOP<<24|optWScale<<16|lenWScale<<8|uint32(o.WScale))
		b = b[4:]
	}
	if o.Has&HasAccECN != 0 {
		b = b[o.AccECN.put(b):]
	}
	k := len(b) / lenSACKBlock
	if k == 0 {
		return
	}
	binary.BigEndian.PutUint32(b, padding<<16|optSACK<<8|uint32(2+k*lenSACKBlock))
	b = b[4:]
	for _, r := range o.SACK[:k] {
		binary.BigEndian.PutUint32(b[0:4], uint32(r.Start))
		binary.BigEndian.PutUint32(b[4:8], uint32(r.End))
		b = b[lenSACKBlock:]
	}
}

// Has says whether all options of g came.
func (s OptionSet) Has(g OptionSet) bool { return s&g == g }
