package iperf3

import (
	"runtime"
	"time"
)

// systemInfo says where the test ran.
func systemInfo() string { return runtime.GOOS + " " + runtime.GOARCH + " " + runtime.Version() }

// finish fills in the intervals and the results of a run that has stopped. The peer's
// results are zero if the test was cut short.
func (r *Report) finish(run *run, peer results) {
	for _, v := range run.intervals {
		r.Intervals = append(r.Intervals, v.export(r.server))
	}
	local := run.results()
	end := &EndInfo{CPU: &CPUInfo{
		HostTotal: local.CPUTotal, HostUser: local.CPUUser, HostSystem: local.CPUSystem,
		RemoteTotal: peer.CPUTotal, RemoteUser: peer.CPUUser, RemoteSystem: peer.CPUSystem,
	}}
	var sent, got, sentBack, gotBack EndSide
	for _, s := range run.streams {
		both := s.end(run, peer)
		end.Streams = append(end.Streams, both)
		if run.p.Bidirectional && s.sender == r.server { // towards the client
			sentBack.add(both.Sender)
			gotBack.add(both.Receiver)
			continue
		}
		sent.add(both.Sender)
		got.add(both.Receiver)
	}
	end.SumSent, end.SumReceived = &sent, &got
	if run.p.Bidirectional {
		end.SumSentReverse, end.SumReceivedReverse = &sentBack, &gotBack
	}
	end.SenderCongestion, end.ReceiverCongestion = local.Congestion, peer.Congestion
	if !run.p.Bidirectional && !run.streams[0].sender {
		end.SenderCongestion, end.ReceiverCongestion = peer.Congestion, local.Congestion
	}
	r.End = end
}

// end is both ends of one stream.
func (s *stream) end(run *run, peer results) EndStream {
	mine := EndSide{
		Socket: label(s.id), End: run.seconds, Seconds: run.seconds, Bytes: s.moved(),
		BitsPerSecond: rate(s.moved(), run.seconds), Sender: s.sender,
	}
	other := EndSide{Socket: label(s.id), Sender: s.sender}
	if p := peer.stream(s.id); p != nil {
		seconds := p.EndTime - p.StartTime
		if seconds <= 0 {
			seconds = run.seconds // before iperf3 3.2 no times were sent
		}
		other.End, other.Seconds = seconds, seconds
		other.Bytes, other.BitsPerSecond = int64(p.Bytes), rate(int64(p.Bytes), seconds)
		if !s.sender && p.Retransmits >= 0 && peer.HasRetransmits > 0 {
			retr := int64(p.Retransmits)
			other.Retransmits = &retr
		}
	}
	if !s.sender {
		return EndStream{Sender: other, Receiver: mine}
	}
	if s.hasInfo {
		retr := s.resent()
		mine.Retransmits, mine.MaxCwnd, mine.MaxSndWnd = &retr, &s.cwndMax, &s.sndWndMax
		mine.MinRTT, mine.MaxRTT, mine.MeanRTT = micros(s.rtt.low), micros(s.rtt.high), micros(s.rtt.mean())
	}
	return EndStream{Sender: mine, Receiver: other}
}

func micros(d time.Duration) *int64 {
	us := d.Microseconds()
	return &us
}

// export puts an interval into the shape of the JSON output. What goes from the client to
// the server comes first.
func (v interval) export(server bool) IntervalInfo {
	var out IntervalInfo
	for _, s := range v.spans {
		out.Streams = append(out.Streams, s.export(v.omitted, true))
	}
	sums := make([]*SpanInfo, 0, 2)
	for _, sender := range []bool{!server, server} {
		if total, n := v.sum(sender); n > 0 {
			sum := total.export(v.omitted, false)
			sums = append(sums, &sum)
		}
	}
	if len(sums) > 0 {
		out.Sum = sums[0]
	}
	if len(sums) > 1 {
		out.SumReverse = sums[1]
	}
	return out
}

// export puts a span into the shape of the JSON output; single is false for a sum.
func (s span) export(omitted, single bool) SpanInfo {
	out := SpanInfo{
		Start: s.start, End: s.end, Seconds: s.end - s.start, Bytes: s.octets,
		BitsPerSecond: s.bitsPerSecond(), Omitted: omitted, Sender: s.sender,
	}
	if s.sender && s.hasInfo {
		out.Retransmits = &s.retr
	}
	if !single {
		return out
	}
	out.Socket = label(s.id)
	if s.sender && s.hasInfo {
		info := s.info
		out.SndCwnd, out.SndWnd, out.PMTU = &info.Cwnd, &info.SndWnd, &info.PMTU
		out.RTT, out.RTTVar = micros(info.RTT), micros(info.RTTVar)
	}
	return out
}
