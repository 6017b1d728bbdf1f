package engine

import (
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/stack/queue"
)

// keeping is the received frames that stay with connections beyond the step, because what they
// carry was neither read nor copied yet.
type keeping struct {
	port   dataplane.KeepingPort // nil: frames never outlive a step
	frames queue.Frames
	kept   [dataplane.PiecesMax]bool
	back   [dataplane.BatchMax]dataplane.Frame
}

func (k *keeping) init(port dataplane.Port, info *dataplane.Info, pool *queue.Pool) {
	if p, ok := port.(dataplane.KeepingPort); ok && info.KeepMax > 0 {
		k.port = p
		k.frames.Init(pool, info.KeepMax, info.KeepSize)
	}
}

// keep has c keep frames.
func (k *keeping) keep(c *Conn) {
	if k.port != nil {
		c.recv.KeepFrames(&k.frames)
	}
}

// freeHome frees the frames that came back.
func (k *keeping) freeHome() {
	if k.port == nil {
		return
	}
	n := 0
	for h, ok := k.frames.Next(); ok; h, ok = k.frames.Next() {
		if n == len(k.back) {
			k.port.Free(k.back[:])
			n = 0
		}
		k.back[n] = dataplane.Frame{Handle: h}
		n++
	}
	if n > 0 {
		k.port.Free(k.back[:n])
	}
	k.frames.Charge()
}

func (k *keeping) begin() {
	if k.port != nil {
		k.frames.Begin()
	}
}

// offer lets the frames of a packet be kept while it is looked at.
func (k *keeping) offer(packet []dataplane.Frame) {
	if k.port == nil || !k.frames.Begins(packet[0].Data) {
		return
	}
	for i := range packet {
		k.frames.Offer(packet[i].Data, packet[i].Handle)
	}
}

// settle ends that, and moves those frames of the packet that are not kept to the front of back,
// which is nowhere behind them.
func (k *keeping) settle(packet, back []dataplane.Frame) (n int) {
	if !k.frames.Settle(k.kept[:len(packet)]) {
		return copy(back, packet)
	}
	for i := range packet {
		if !k.kept[i] {
			back[n] = packet[i]
			n++
		}
	}
	return n
}

// leave gives back what can be given back, and leaves the rest to the readers who hold it.
func (k *keeping) leave() {
	if k.port == nil {
		return
	}
	k.frames.Leave(
		func(h uint64) { k.port.Free([]dataplane.Frame{{Handle: h}}) },
		func(h uint64) { k.port.Return(dataplane.Frame{Handle: h}) },
		func(handles []uint64) {
			held := make([]dataplane.Frame, len(handles))
			for i, h := range handles {
				held[i].Handle = h
			}
			k.port.Leave(held)
		})
}
