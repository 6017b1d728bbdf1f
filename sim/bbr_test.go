package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// bbrStep is what an ACK, a loss, or a verdict on a recovery made of BBR.
type bbrStep struct {
	at            mono.Time
	before, after bbr.View
	ack           congestion.Ack // the zero value if it was another event
	undo          bool
	flight, cwnd  int
	pacing        int64
	cwndBefore    int
}

func (s bbrStep) left(from bbr.State) bool { return s.before.State == from && s.after.State != from }

// watchedBBR notes what BBR does.
type watchedBBR struct {
	*bbr.BBR
	run *bbrRun
}

func (w watchedBBR) note(f *congestion.Flow, a congestion.Ack, undo bool, do func()) {
	s := bbrStep{at: w.run.now, before: w.View(), ack: a, undo: undo, flight: f.Flight, cwndBefore: f.Cwnd()}
	do()
	s.after, s.cwnd, s.pacing = w.View(), f.Cwnd(), f.Pacing()
	w.run.steps = append(w.run.steps, s)
	if w.run.on != nil {
		w.run.on(s)
	}
}

func (w watchedBBR) OnAck(f *congestion.Flow, a *congestion.Ack) {
	w.note(f, *a, false, func() { w.BBR.OnAck(f, a) })
}

func (w watchedBBR) OnLost(f *congestion.Flow, l *congestion.Lost) {
	w.note(f, congestion.Ack{}, false, func() { w.BBR.OnLost(f, l) })
}

func (w watchedBBR) Undo(f *congestion.Flow) {
	w.note(f, congestion.Ack{}, true, func() { w.BBR.Undo(f) })
}

// bbrRun is a scenario of one flow under BBR.
type bbrRun struct {
	*scenario
	t     *testing.T
	alg   *bbr.BBR
	steps []bbrStep
	on    func(bbrStep)                               // is told of each
	lose  func(now mono.Time, seg *wire.Segment) bool // loses data segments
	rtt   time.Duration
}

// newBBRRun begins a flow over link whose client has write octets to send, Unset for as many
// as there is time for. It checks the rules of the protocol as all scenarios do.
func newBBRRun(t *testing.T, link string, write int64) *bbrRun {
	t.Helper()
	return newBBRRunWith(t, link, write, bbr.Config{})
}

func newBBRRunWith(t *testing.T, link string, write int64, config bbr.Config) *bbrRun {
	t.Helper()
	spec, err := ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	r := &bbrRun{t: t, rtt: spec.RTT}
	cfg := scenarioConfig{seed: 1}
	cfg.there, cfg.back = spec.paths()
	cfg.there.Drop = func(_ int, now mono.Time, seg *wire.Segment) bool {
		return r.lose != nil && len(seg.Payload) > 0 && r.lose(now, seg)
	}
	// What is written ahead is several windows, and no more, so that a writer that stops is
	// felt soon.
	ahead := max(16*int(spec.bdp()), 256<<10)
	cfg.a = hostOptions{recvBuffer: 64 << 20, sendBuffer: ahead, noDelay: true, txFrames: 4096}
	cfg.a.tcp.Congestion = func() congestion.Algorithm {
		r.alg, _ = config.New().(*bbr.BBR)
		return watchedBBR{r.alg, r}
	}
	cfg.b = cfg.a
	cfg.b.tcp.Congestion = nil
	cfg.flows = []flowConfig{{client: behaviour{write: write, ending: endNever}, server: behaviour{ending: endAfterPeer}}}
	r.scenario = newScenario(cfg)
	return r
}

// pass lets time pass.
func (r *bbrRun) pass(d time.Duration) {
	r.t.Helper()
	r.run(r.now.Add(d))
	if r.err != nil {
		r.t.Fatalf("%v\n%s", r.err, r.report())
	}
}

// until lets time pass until a step is as wanted, and returns it. Steps before do not count.
func (r *bbrRun) until(most time.Duration, what string, is func(s bbrStep) bool) bbrStep {
	r.t.Helper()
	seen := len(r.steps)
	for end := r.now.Add(most); r.now < end; {
		r.pass(time.Millisecond)
		for ; seen < len(r.steps); seen++ {
			if is(r.steps[seen]) {
				return r.steps[seen]
			}
		}
	}
	r.t.Fatalf("%s: not within %v; now %+v", what, most, r.alg.View())
	return bbrStep{}
}

// untilState lets time pass until a state is entered.
func (r *bbrRun) untilState(most time.Duration, want bbr.State) bbrStep {
	r.t.Helper()
	if r.alg != nil && r.alg.View().State == want && len(r.steps) > 0 {
		return r.steps[len(r.steps)-1]
	}
	return r.until(most, want.String(), func(s bbrStep) bool { return s.after.State == want })
}

// setRate changes the bottleneck's rate from now on.
func (r *bbrRun) setRate(bits int64) { r.paths[0].cfg.Rate = bits }

// write has the client write so many octets more.
func (r *bbrRun) write(octets int64) {
	c := r.flows[0].client
	c.does.write = c.written + octets
	c.resume()
	c.host.step()
}

// trickle writes octets at intervals for a while, and then goes on with as many as there is
// time for.
func (r *bbrRun) trickle(every, lasting time.Duration, octets int64) {
	c := r.flows[0].client
	c.does.write = c.written
	c.does.writeMax = 1 << 20
	for at := time.Duration(0); at < lasting; at += every {
		r.after(at, func(mono.Time) { r.write(octets) })
	}
}

// delivered is how many octets the server has read.
func (r *bbrRun) delivered() int64 { return r.flows[0].server.read }

// goodput measures for a while, in bits a second.
func (r *bbrRun) goodput(d time.Duration) float64 {
	r.t.Helper()
	before := r.delivered()
	r.pass(d)
	return float64(r.delivered()-before) * 8 / d.Seconds()
}

// payload is the payload that a link of so many bits a second carries, in octets a second.
func payload(bits int64) float64 { return float64(bits) / 8 * 1448 / 1500 }

// near says whether got is want up to a share of it.
func near(got, want, share float64) bool { return got >= want*(1-share) && got <= want*(1+share) }
