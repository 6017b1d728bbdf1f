package xsk

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// sizeMin is the shortest packet that is sent, or first piece of one: an Ethernet header. The
// kernel refuses a descriptor of length 0 without ever completing it, so it must not see one.
const sizeMin = 14

// Alloc lends free transmit frames.
func (p *Port) Alloc(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	if len(p.txFree) < len(dst) {
		p.collect()
	}
	n := min(len(dst), len(p.txFree))
	for i := range n {
		chunk := p.txFree[len(p.txFree)-1-i]
		start := int(chunk) << p.shift
		end := start + p.cfg.FrameSize
		dst[i] = dataplane.Frame{Data: p.sock.umem[start+p.sock.headroom : end : end], Handle: uint64(start)}
		p.holder[chunk] = withWorker
	}
	p.txFree = p.txFree[:len(p.txFree)-n]
	p.nLent += n
	if n < len(dst) {
		p.starved.Store(true)
	}
	return n
}

// giveBack checks that f is on loan, and returns its chunk.
func (p *Port) giveBack(f *dataplane.Frame) uint32 {
	chunk := f.Handle >> p.shift
	if chunk < uint64(p.cfg.RXFrames) || chunk >= uint64(len(p.holder)) || p.holder[chunk] != withWorker {
		panic("BUG: xsk: gave back a frame that was not allocated, or twice")
	}
	return uint32(chunk)
}

// Send puts frames on the transmit ring. There is room for all: a frame is on the ring
// only while it is not completed, and there are no more frames than entries.
func (p *Port) Send(frames []dataplane.Frame) {
	if len(frames) == 0 || p.closed.Load() {
		return
	}
	sent, dropped, octets := 0, 0, 0
	for rest := frames; len(rest) > 0; {
		n, size := p.packet(rest)
		if size == 0 {
			p.recycle(rest[:n])
			dropped++
		} else {
			p.post(rest[:n])
			sent++
			octets += size
		}
		rest = rest[n:]
	}
	p.sock.tx.publish()
	p.nLent -= len(frames)
	p.txOwed.Store(true)
	p.stats.txFrames.Add(uint64(sent))
	p.stats.txOctets.Add(uint64(octets))
	if dropped > 0 {
		p.stats.txDropped.Add(uint64(dropped))
	}
}

// packet returns of how many frames the first packet is, and its length: 0 of one that the
// kernel would choke on.
func (p *Port) packet(frames []dataplane.Frame) (n, size int) {
	short := len(frames[0].Data) < sizeMin
	for {
		length := len(frames[n].Data)
		if length > p.info.FrameSize {
			panic("BUG: xsk: sent a frame longer than its room")
		}
		size += length
		short = short || length == 0
		n++
		if !frames[n-1].More {
			break
		}
		if n == len(frames) || n == p.info.Pieces {
			panic("BUG: xsk: sent a part of a packet, or one of too many frames")
		}
	}
	if short {
		return n, 0
	}
	return n, size
}

// post puts the frames of one packet on the transmit ring.
func (p *Port) post(frames []dataplane.Frame) {
	tx := &p.sock.tx
	for i := range frames {
		f := &frames[i]
		chunk := p.giveBack(f)
		d := unix.XDPDesc{Addr: uint64(chunk)<<p.shift + uint64(p.sock.headroom), Len: uint32(len(f.Data))}
		if f.More {
			d.Options = unix.XDP_PKT_CONTD
		}
		if f.ChecksumAt != 0 {
			p.askChecksum(d.Addr, f.ChecksumAt)
			d.Options |= unix.XDP_TX_METADATA
		}
		tx.descs[tx.prod&tx.mask] = d
		tx.prod++
		p.holder[chunk] = withKernel
	}
}

// The metadata of a packet to send: struct xsk_tx_metadata of linux/if_xdp.h. It lies right before
// the packet, which begins at a multiple of 32 octets so that both share a cache line.
// https://docs.kernel.org/networking/xsk-tx-metadata.html
const (
	metadataLen   = 24
	txHeadroom    = 32
	checksumField = 16 // of a TCP header
)

// askChecksum asks for the checksum of the TCP header at octet at of the packet at addr.
func (p *Port) askChecksum(addr uint64, at uint16) {
	if !p.info.TXChecksum {
		panic("BUG: xsk: asked for a checksum that nobody completes")
	}
	m := p.sock.umem[addr-metadataLen : addr]
	binary.NativeEndian.PutUint64(m, unix.XDP_TXMD_FLAGS_CHECKSUM)
	binary.NativeEndian.PutUint16(m[8:], at)
	binary.NativeEndian.PutUint16(m[10:], checksumField)
}

// recycle puts frames that the worker had on the free list.
func (p *Port) recycle(frames []dataplane.Frame) {
	for i := range frames {
		chunk := p.giveBack(&frames[i])
		p.holder[chunk] = free
		p.txFree = append(p.txFree, chunk)
	}
}

// Cancel takes allocated frames back.
func (p *Port) Cancel(frames []dataplane.Frame) {
	if p.closed.Load() {
		return
	}
	p.recycle(frames)
	p.nLent -= len(frames)
}

// collect takes completed frames back from the kernel, and returns how many.
func (p *Port) collect() int {
	comp := &p.sock.comp
	n := comp.available(uint32(p.cfg.TXRing))
	for range n {
		addr := comp.addrs[comp.cons&comp.mask]
		comp.cons++
		chunk := addr >> p.shift
		if chunk < uint64(p.cfg.RXFrames) || chunk >= uint64(len(p.holder)) || p.holder[chunk] != withKernel {
			// Not counted back: the frame that was meant stays missing until Close says so.
			p.stats.txInvalid.Add(1)
			continue
		}
		p.holder[chunk] = free
		p.txFree = append(p.txFree, uint32(chunk))
	}
	if n > 0 {
		comp.release()
	}
	return int(n)
}
