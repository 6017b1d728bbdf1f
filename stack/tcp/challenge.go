package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// At most this many challenge ACKs of a connection in this time. What PAWS refuses, what lies
// outside of the window, keepalives and window probes are answered under the same limit, which is
// far above the rate of the latter. (Linux answers two in a second, and leaves out data.)
const (
	challengesMax  = 10
	challengeEvery = time.Second
)

// challengesAll is the mean of what all connections of a worker send in that time. How many it
// is in a given second is drawn anew, from half of it to three halves: a fixed number that
// everybody shares would tell one peer whether a guess about another was right
// (CVE-2016-5696).
const challengesAll = 1000

// ChallengeLimit bounds the challenge ACKs of all connections of a worker. Nil is no bound.
// https://www.rfc-editor.org/rfc/rfc5961.html#section-7
type ChallengeLimit struct {
	rand uint64 // state of the generator; what it starts from is secret
	at   mono.Time
	left int
}

// NewChallengeLimit returns a limit that draws from seed.
func NewChallengeLimit(seed uint64) *ChallengeLimit { return &ChallengeLimit{rand: seed} }

// take says whether one more may be sent.
func (l *ChallengeLimit) take(now mono.Time) bool {
	if l == nil {
		return true
	}
	if l.at == 0 || now.Sub(l.at) >= challengeEvery {
		l.at = now
		l.left = challengesAll/2 + int(l.draw()%challengesAll)
	}
	if l.left == 0 {
		return false
	}
	l.left--
	return true
}

// draw is SplitMix64.
func (l *ChallengeLimit) draw() uint64 {
	l.rand += 0x9e3779b97f4a7c15
	z := l.rand
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// challenge owes an ACK in answer to a segment that an attacker may have sent, at a bounded
// rate, of the connection and of all. https://www.rfc-editor.org/rfc/rfc5961.html#section-7
func (c *Conn) challenge(now mono.Time, counter *uint64) {
	*counter++
	if !c.mayAnswer(now) || !c.p.Challenges.take(now) {
		c.p.Stats.TCPACKSkippedChallenge++
		return
	}
	c.count.challenges++
	c.owe.ack = true
}

// answer owes an ACK to what is not acceptable, at the rate of the connection alone: ten
// thousand that are idle may all be asked for a sign of life in one second. Two ends that
// refuse each other's ACKs would answer each other for ever otherwise.
func (c *Conn) answer(now mono.Time, skipped *uint64) {
	if !c.mayAnswer(now) {
		*skipped++
		return
	}
	c.count.challenges++
	c.owe.ack = true
}

// mayAnswer says whether the connection's own limit allows one more.
func (c *Conn) mayAnswer(now mono.Time) bool {
	if now.Sub(c.count.challengedAt) >= challengeEvery {
		c.count.challenges = 0
		c.count.challengedAt = now
	}
	return c.count.challenges < challengesMax
}
