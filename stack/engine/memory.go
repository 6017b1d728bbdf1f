package engine

import "github.com/millrace-tcp/millrace/stack/queue"

// MemoryMaxDefault is the ceiling of what connections and their buffers hold: 1 GiB, which is
// 1,000 connections with 1 MiB each, or 250,000 that are idle.
const MemoryMaxDefault = 1 << 30

// connOctets is what a connection without data is taken to cost: what TestIdleCost measures,
// application's part included, and some.
const connOctets = 4 << 10

// memoryFull says that there is no memory for one more connection.
func (e *Engine) memoryFull() bool { return e.cfg.Pool.Level() == queue.Full }

// noteCrowd has connections hear of it that more waits to be received than is good, and counts how
// often that began.
func (e *Engine) noteCrowd() {
	if e.crowds == nil {
		return
	}
	crowded := e.crowds.Crowded()
	if crowded && !e.core.Crowded {
		e.stats.ReceiveCrowded++
	}
	e.core.Crowded = crowded
}

// noteMemory counts how often memory became scarce.
func (e *Engine) noteMemory() {
	pressed := e.cfg.Pool.Level() != queue.Plenty
	if pressed && !e.pressed {
		e.stats.TCPMemoryPressures++
	}
	e.pressed = pressed
}
