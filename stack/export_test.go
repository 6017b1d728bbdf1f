package stack

// Leads returns how often readers have received for themselves what they waited for.
func (s *Stack) Leads() (n int) {
	for _, w := range s.workers {
		n += int(w.leader.hush.turns.Load())
	}
	return n
}

// Waits says whether a reader of c waits at its gate.
func (c *Conn) Waits() bool { return c.rd.waiting.Load() }
