package wire_test

import (
	"bytes"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// decode has gopacket read the frame and judge all of its checksums.
func decode(t *testing.T, frame []byte) (gopacket.Packet, *layers.TCP) {
	t.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("gopacket: %v", e.Error())
	}
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok {
		t.Fatalf("gopacket finds no TCP in %v", p)
	}
	if err := tcp.SetNetworkLayerForChecksum(p.NetworkLayer()); err != nil {
		t.Fatal(err)
	}
	err, mismatches := p.VerifyChecksums()
	if err != nil || len(mismatches) != 0 {
		t.Fatalf("gopacket: checksums: %v, mismatches %+v", err, mismatches)
	}
	return p, tcp
}

func TestGopacketReadsOurFrames(t *testing.T) {
	for _, v := range versions {
		for _, vlan := range []uint16{0, 100} {
			tm := v.template(t, vlan)
			for _, s := range []*wire.Segment{
				dataSegment(0), dataSegment(1), dataSegment(1448), synSegment(), sackSegment(3),
			} {
				p, tcp := decode(t, buildFrame(t, &tm, s))
				if q, ok := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q); ok != (vlan != 0) || (ok && q.VLANIdentifier != vlan) {
					t.Errorf("%s, VLAN %d: gopacket sees the tag %+v", v.name, vlan, q)
				}
				if tcp.Seq != uint32(s.SEQ) || tcp.Ack != uint32(s.ACK) || tcp.Window != s.WND ||
					uint16(tcp.SrcPort) != s.SrcPort || uint16(tcp.DstPort) != s.DstPort ||
					tcp.SYN != s.Flags.Has(wire.SYN) || tcp.ACK != s.Flags.Has(wire.ACK) || !bytes.Equal(tcp.Payload, s.Payload) {
					t.Errorf("%s: gopacket reads %+v, want %v", v.name, tcp, s)
				}
				wantOptionKinds(t, tcp, s)
			}
		}
	}
}

// TestGopacketSeesAWrongChecksum shows that decode can fail.
func TestGopacketSeesAWrongChecksum(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 0)
		frame := buildFrame(t, &tm, dataSegment(10))
		frame[len(frame)-1] ^= 1
		p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
		tcp, ok := p.TransportLayer().(*layers.TCP)
		if !ok || tcp.SetNetworkLayerForChecksum(p.NetworkLayer()) != nil {
			t.Fatalf("gopacket finds no TCP in %v", p)
		}
		if err, mismatches := p.VerifyChecksums(); err != nil || len(mismatches) != 1 {
			t.Errorf("%s: gopacket: %v, mismatches %+v, want one", v.name, err, mismatches)
		}
	}
}

// wantOptionKinds compares which options gopacket found with those of s.
func wantOptionKinds(t *testing.T, tcp *layers.TCP, s *wire.Segment) {
	t.Helper()
	var got wire.OptionSet
	for _, o := range tcp.Options {
		switch o.OptionType {
		case layers.TCPOptionKindMSS:
			got |= wire.HasMSS
		case layers.TCPOptionKindWindowScale:
			got |= wire.HasWScale
		case layers.TCPOptionKindSACKPermitted:
			got |= wire.HasSACKPermitted
		case layers.TCPOptionKindSACK:
			got |= wire.HasSACK
			if len(o.OptionData) != 8*int(s.Opt.NSACK) {
				t.Errorf("gopacket reads %d octets of SACK, want %d blocks", len(o.OptionData), s.Opt.NSACK)
			}
		case layers.TCPOptionKindTimestamps:
			got |= wire.HasTimestamps
		}
	}
	if got != s.Opt.Has {
		t.Errorf("gopacket reads options %08b, want %08b", got, s.Opt.Has)
	}
}

func TestWeReadGopacketsFrames(t *testing.T) {
	eth := &layers.Ethernet{SrcMAC: macA[:], DstMAC: macB[:], EthernetType: layers.EthernetTypeIPv4}
	ip4 := &layers.IPv4{
		Version: 4, TTL: 61, TOS: 0xb9, Protocol: layers.IPProtocolTCP, SrcIP: versions[0].src.AsSlice(), DstIP: versions[0].dst.AsSlice(),
	}
	eth6 := &layers.Ethernet{SrcMAC: macA[:], DstMAC: macB[:], EthernetType: layers.EthernetTypeIPv6}
	ip6 := &layers.IPv6{
		Version: 6, HopLimit: 61, TrafficClass: 0xb9, NextHeader: layers.IPProtocolTCP,
		SrcIP: versions[1].src.AsSlice(), DstIP: versions[1].dst.AsSlice(),
	}
	tcp := &layers.TCP{SrcPort: 1, DstPort: 2, Seq: 3, Ack: 4, ACK: true, PSH: true, Window: 5}
	for i, ls := range [][]gopacket.SerializableLayer{{eth, ip4}, {eth6, ip6}} {
		v := &versions[i]
		network, ok := ls[1].(gopacket.NetworkLayer)
		if !ok || tcp.SetNetworkLayerForChecksum(network) != nil {
			t.Fatal("gopacket takes no network layer")
		}
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		if err := gopacket.SerializeLayers(buf, opts, append(ls, tcp, gopacket.Payload("odd"))...); err != nil {
			t.Fatal(err)
		}
		frame := buf.Bytes()
		var p wire.Packet
		if err := wire.ParseIP(frame[wire.EthernetLen:], &p); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		// What gopacket pads to 60 octets is cut off again.
		var s wire.Segment
		if err := wire.ParseTCP(p.Payload, &s); err != nil || string(s.Payload) != "odd" {
			t.Errorf("%s: payload = %q, %v, want odd", v.name, s.Payload, err)
		}
		wantPacket(t, v.name, &p, v, string(p.Payload), false)
		if want := "P. 3:6(3) ack 4 win 5"; s.String() != want || !p.TCPValid() {
			t.Errorf("%s: got %v, TCPValid = %v, want %s", v.name, &s, p.TCPValid(), want)
		}
	}
}
