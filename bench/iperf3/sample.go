package iperf3

import "time"

// span is what one stream did in a stretch of time.
type span struct {
	id      int
	sender  bool
	start   float64 // seconds since the measured part began
	end     float64
	octets  int64
	retr    int64 // segments sent again; meaningful if hasInfo
	info    Info
	hasInfo bool
}

// bitsPerSecond is the rate of the span.
func (s span) bitsPerSecond() float64 { return rate(s.octets, s.end-s.start) }

func rate(octets int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(octets) * 8 / seconds
}

// interval is a span of every stream.
type interval struct {
	spans   []span
	omitted bool
}

// sum adds up the n spans of one direction.
func (v interval) sum(sender bool) (total span, n int) {
	for _, s := range v.spans {
		if s.sender != sender {
			continue
		}
		if n == 0 {
			total = span{sender: sender, start: s.start, end: s.end, hasInfo: s.hasInfo}
		}
		total.octets += s.octets
		total.retr += s.retr
		n++
	}
	return total, n
}

// sample takes the samples of a run until it stops: one each interval, one where the
// omitted part ends, and one at the end.
func (r *run) sample() {
	var ticks <-chan time.Time
	var ticker *time.Ticker
	if r.every > 0 {
		ticker = time.NewTicker(r.every)
		defer ticker.Stop()
		ticks = ticker.C
	}
	var omitEnd <-chan time.Time
	if r.p.Omit > 0 {
		omitEnd = time.After(time.Duration(r.p.Omit) * time.Second)
	}
	for {
		select {
		case <-r.halt:
			<-r.quiet // or a block that is half sent would not be counted
			r.lastSample(r.end)
			return
		case <-ticks:
			r.takeSample(time.Now())
		case <-omitEnd:
			omitEnd = nil
			r.measureFromHere(time.Now())
			if ticker != nil {
				ticker.Reset(r.every)
			}
		}
	}
}

// measureFromHere ends the omitted part: counters and clock start anew.
func (r *run) measureFromHere(now time.Time) {
	if r.every > 0 && now.Sub(r.lastEnd) > r.every/10 {
		r.takeSample(now)
	}
	for _, s := range r.streams {
		s.ask(r)
		s.omitted, s.omittedRetr = s.octets.Load(), s.info.Retransmits
		s.last, s.lastRetr = s.omitted, s.omittedRetr
		s.rtt, s.cwndMax, s.sndWndMax = rttSummary{}, 0, 0
	}
	r.omitting.Store(false)
	r.start, r.lastEnd = now, now
	r.cpuStart = cpuNow()
}

// takeSample takes one sample of every stream and reports it.
func (r *run) takeSample(now time.Time) {
	v := interval{omitted: r.omitting.Load()}
	start, end := r.lastEnd.Sub(r.start).Seconds(), now.Sub(r.start).Seconds()
	for _, s := range r.streams {
		octets := s.octets.Load()
		s.ask(r)
		v.spans = append(v.spans, span{
			id: s.id, sender: s.sender, start: start, end: end,
			octets: octets - s.last, retr: s.info.Retransmits - s.lastRetr,
			info: s.info, hasInfo: s.hasInfo,
		})
		s.last, s.lastRetr = octets, s.info.Retransmits
	}
	r.lastEnd = now
	r.intervals = append(r.intervals, v)
	if r.report != nil && r.every > 0 {
		r.report(v)
	}
}

// lastSample closes the measured part. A rest of less than a tenth of an interval in which
// next to nothing moved is no interval of its own, as in iperf3; its octets still count.
func (r *run) lastSample(now time.Time) {
	r.seconds = now.Sub(r.start).Seconds()
	r.cpu = cpuSince(r.cpuStart)
	if r.info != nil {
		// All streams of an end have the same one, and a receiver has one too.
		info, _ := r.info(r.streams[0].conn)
		r.congestion = info.Congestion
	}
	rest := now.Sub(r.lastEnd)
	if r.every == 0 || rest >= r.every/10 || len(r.intervals) == 0 {
		r.takeSample(now)
		return
	}
	for _, s := range r.streams {
		s.ask(r)
		s.last, s.lastRetr = s.octets.Load(), s.info.Retransmits
	}
}

// ask updates what the transport says about the stream.
func (s *stream) ask(r *run) {
	if r.info == nil || !s.sender {
		return
	}
	info, ok := r.info(s.conn)
	if !ok {
		return
	}
	s.info, s.hasInfo = info, true
	if info.RTT > 0 {
		s.rtt.add(info.RTT)
	}
	s.cwndMax = max(s.cwndMax, info.Cwnd)
	s.sndWndMax = max(s.sndWndMax, info.SndWnd)
}

// moved is how many octets the stream moved in the measured part.
func (s *stream) moved() int64 { return s.last - s.omitted }

// resent is how many segments the stream sent again in the measured part; -1 is unknown.
func (s *stream) resent() int64 {
	if !s.hasInfo {
		return -1
	}
	return s.lastRetr - s.omittedRetr
}

// results is what this end tells the other.
func (r *run) results() results {
	out := results{
		CPUTotal: r.cpu.user + r.cpu.system, CPUUser: r.cpu.user, CPUSystem: r.cpu.system,
		HasRetransmits: -1, Congestion: r.congestion,
	}
	for _, s := range r.streams {
		out.Streams = append(out.Streams, streamResult{
			ID: s.id, Bytes: count(s.moved()), Retransmits: count(s.resent()), EndTime: r.seconds,
		})
		if s.sender {
			out.HasRetransmits = 0
			if s.hasInfo {
				out.HasRetransmits = 1
			}
		}
	}
	return out
}
