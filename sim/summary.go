package sim

import (
	"math"
	"slices"
)

// Mean is the mean of a value over several seeds, and half the width of its 95 % confidence
// interval after Student: 0 if there is one seed only.
type Mean struct {
	Mean float64 `json:"mean"`
	CI95 float64 `json:"ci95"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// student is the 97.5 % quantile of Student's distribution with 1, 2, … degrees of freedom.
var student = [...]float64{
	12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
	2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
	2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
}

// quantile975 is that of n degrees of freedom. Beyond the table it is Cornish and Fisher's
// expansion about the normal distribution, off by less than 1e-4.
func quantile975(n int) float64 {
	if n <= len(student) {
		return student[n-1]
	}
	const z = 1.959964
	return z + (z*z*z+z)/(4*float64(n)) + (5*math.Pow(z, 5)+16*z*z*z+3*z)/(96*float64(n)*float64(n))
}

// MeanOf summarizes values of independent runs. Of none, all is 0.
func MeanOf(x []float64) Mean {
	n := len(x)
	if n == 0 {
		return Mean{}
	}
	m := Mean{Min: round(slices.Min(x)), Max: round(slices.Max(x))}
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	mean := sum / float64(n)
	m.Mean = round(mean)
	if n > 1 {
		squares := 0.0
		for _, v := range x {
			squares += (v - mean) * (v - mean)
		}
		m.CI95 = round(quantile975(n-1) * math.Sqrt(squares/float64(n-1)/float64(n)))
	}
	return m
}

// Summary is what the results of one Spec with several seeds have in common.
type Summary struct {
	Seeds       []uint64      `json:"seeds"`
	Flows       []FlowSummary `json:"flows"`
	Total       Mean          `json:"goodput_bps"` // of all flows
	Utilization Mean          `json:"utilization"`
	QueueP50    Mean          `json:"queue_p50_ms"`
	QueueP95    Mean          `json:"queue_p95_ms"`
	Loss        Mean          `json:"loss"`
	Jain        Mean          `json:"jain"`
	// Converged is how many of the seeds came to a fair share, and Convergence after how long.
	Converged   int  `json:"converged"`
	Convergence Mean `json:"convergence_s"`
	// Short is how long the short flows of cross traffic took; nil: there are none.
	Short *ShortSummary `json:"short,omitempty"`
}

// ShortSummary is what the results of short flows have in common.
type ShortSummary struct {
	Completed Mean `json:"completed"` // share of those that opened
	Mean      Mean `json:"mean_ms"`
	P50       Mean `json:"p50_ms"`
	P99       Mean `json:"p99_ms"`
}

// FlowSummary is what the results of one flow have in common.
type FlowSummary struct {
	CC          string `json:"cc"`
	Goodput     Mean   `json:"goodput_bps"`
	RTTP95      Mean   `json:"rtt_p95_ms"`
	Retransmits Mean   `json:"retransmits"`
	Timeouts    Mean   `json:"timeouts"`
	// Completed is in how many seeds the flow came to its end, and Completion after how long.
	Completed  int  `json:"completed"`
	Completion Mean `json:"completion_s"`
}

// Summarize makes a summary of the results of one Spec with several seeds.
func Summarize(results []*Result) Summary {
	var s Summary
	of := func(value func(r *Result) (v float64, ok bool)) Mean {
		var x []float64
		for _, r := range results {
			if v, ok := value(r); ok {
				x = append(x, v)
			}
		}
		return MeanOf(x)
	}
	always := func(value func(r *Result) float64) Mean {
		return of(func(r *Result) (float64, bool) { return value(r), true })
	}
	for _, r := range results {
		s.Seeds = append(s.Seeds, r.Seed)
		if r.ConvergenceS != nil {
			s.Converged++
		}
	}
	s.Total = always(func(r *Result) float64 { return r.Goodput() })
	s.Utilization = always(func(r *Result) float64 { return r.Link.Utilization })
	s.QueueP50 = always(func(r *Result) float64 { return r.Link.QueueMillis.P50 })
	s.QueueP95 = always(func(r *Result) float64 { return r.Link.QueueMillis.P95 })
	s.Loss = always(func(r *Result) float64 { return r.Link.Loss })
	s.Jain = always(func(r *Result) float64 { return r.Jain })
	s.Convergence = of(func(r *Result) (float64, bool) { return deref(r.ConvergenceS) })
	if len(results) == 0 {
		return s
	}
	if c := results[0].Cross; c != nil && c.Flows > 0 {
		short := func(value func(c *CrossResult) float64) Mean {
			return of(func(r *Result) (float64, bool) { return value(r.Cross), r.Cross.Flows > 0 })
		}
		s.Short = &ShortSummary{
			Completed: short(func(c *CrossResult) float64 { return float64(c.Completed) / float64(c.Flows) }),
			Mean:      short(func(c *CrossResult) float64 { return c.CompletionMS.Mean }),
			P50:       short(func(c *CrossResult) float64 { return c.CompletionMS.P50 }),
			P99:       short(func(c *CrossResult) float64 { return c.CompletionMS.P99 }),
		}
	}
	for i, f := range results[0].Flows {
		fs := FlowSummary{CC: f.CC}
		fs.Goodput = always(func(r *Result) float64 { return r.Flows[i].GoodputBPS })
		fs.RTTP95 = always(func(r *Result) float64 { return r.Flows[i].RTTMillis.P95 })
		fs.Retransmits = always(func(r *Result) float64 { return float64(r.Flows[i].Retransmits) })
		fs.Timeouts = always(func(r *Result) float64 { return float64(r.Flows[i].Timeouts) })
		fs.Completion = of(func(r *Result) (float64, bool) { return deref(r.Flows[i].CompletionS) })
		for _, r := range results {
			if r.Flows[i].CompletionS != nil {
				fs.Completed++
			}
		}
		s.Flows = append(s.Flows, fs)
	}
	return s
}

// Goodput is that of all flows.
func (r *Result) Goodput() float64 {
	sum := 0.0
	for _, f := range r.Flows {
		sum += f.GoodputBPS
	}
	return sum
}

func deref(v *float64) (float64, bool) {
	if v == nil {
		return 0, false
	}
	return *v, true
}
