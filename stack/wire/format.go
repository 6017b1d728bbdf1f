package wire

import (
	"strconv"

	"github.com/millrace-tcp/millrace/stack/seq"
)

// String returns the segment in packetdrill's notation, for messages of tests and traces:
//
//	S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 7 ecr 5,nop,wscale 8>
//
// Options stand as PutTCP writes them, with their padding.
func (s *Segment) String() string { return s.Relative(0, 0) }

// Relative is String with sequence numbers counted from isn, and the acknowledgement and
// the SACK blocks from peer, the initial sequence number of the other side.
func (s *Segment) Relative(isn, peer seq.Num) string {
	b := make([]byte, 0, 96)
	b = append(b, s.Flags.String()...)
	b = append(b, ' ')
	from := s.SEQ - isn
	b = appendNum(b, "", uint32(from))
	b = appendNum(b, ":", uint32(from.Add(s.DataLen())))
	b = appendNum(b, "(", uint32(s.DataLen()))
	b = append(b, ')')
	if s.Flags&ACK != 0 {
		b = appendNum(b, " ack ", uint32(s.ACK-peer))
	}
	b = appendNum(b, " win ", uint32(s.WND))
	if s.Flags&URG != 0 {
		b = appendNum(b, " urg ", uint32(s.UP))
	}
	if s.Opt.Has != 0 {
		b = append(b, " <"...)
		b = s.Opt.appendTo(b, peer)
		b = append(b, '>')
	}
	return string(b)
}

// appendTo appends the options, separated by commas.
func (o *Options) appendTo(b []byte, peer seq.Num) []byte {
	start := len(b)
	item := func(text string) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, text...)
	}
	if o.Has&HasMSS != 0 {
		item("mss ")
		b = appendNum(b, "", uint32(o.MSS))
	}
	switch {
	case o.Has.Has(HasSACKPermitted):
		if !o.Has.Has(HasTimestamps) {
			item("nop,nop")
		}
		item("sackOK")
	case o.Has.Has(HasTimestamps):
		item("nop,nop")
	}
	if o.Has&HasTimestamps != 0 {
		item("TS val ")
		b = appendNum(b, "", o.TSVal)
		b = appendNum(b, " ecr ", o.TSEcr)
	}
	if o.Has&HasWScale != 0 {
		item("nop,wscale ")
		b = appendNum(b, "", uint32(o.WScale))
	}
	if o.Has&HasAccECN != 0 {
		item("ECN")
		names := [AccECNFields]string{" e1b ", " ceb ", " e0b "}
		if o.AccECN.ECT0First {
			names[0], names[2] = names[2], names[0]
		}
		order := o.AccECN.order()
		for i := range o.AccECN.Fields {
			b = appendNum(b, names[i], *order[i])
		}
	}
	if k := o.sackFit(o.fixedLen()); k > 0 {
		item("nop,nop,sack")
		for _, r := range o.SACK[:k] {
			b = appendNum(b, " ", uint32(r.Start-peer))
			b = appendNum(b, ":", uint32(r.End-peer))
		}
	}
	return b
}

func appendNum(b []byte, lead string, v uint32) []byte {
	return strconv.AppendUint(append(b, lead...), uint64(v), 10)
}
