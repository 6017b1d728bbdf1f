package bench

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a Latency, and how fine it is: three digits of everything up to a minute.
const (
	latencyMax    = time.Minute
	latencyDigits = 3
)

// Latency is a distribution of times. The zero value is empty. It is JSON in the encoding
// that HdrHistogram's tools read.
type Latency struct{ h *hdrhistogram.Histogram }

// Record adds a time; one beyond a minute counts as a minute.
func (l *Latency) Record(d time.Duration) {
	if l.h == nil {
		l.h = hdrhistogram.New(1, int64(latencyMax), latencyDigits)
	}
	// Within the range there is no error.
	_ = l.h.RecordValue(int64(min(max(d, 1), latencyMax)))
}

// Merge adds all that another one has.
func (l *Latency) Merge(from Latency) {
	if from.h == nil {
		return
	}
	if l.h == nil {
		l.h = hdrhistogram.New(1, int64(latencyMax), latencyDigits)
	}
	l.h.Merge(from.h)
}

// Count is how many times were recorded.
func (l Latency) Count() int64 {
	if l.h == nil {
		return 0
	}
	return l.h.TotalCount()
}

// IsZero says that nothing was recorded.
func (l Latency) IsZero() bool { return l.Count() == 0 }

// Percentile returns the time that p per cent do not exceed, 0 if there is none.
func (l Latency) Percentile(p float64) time.Duration {
	if l.h == nil {
		return 0
	}
	return time.Duration(l.h.ValueAtPercentile(p))
}

// MarshalJSON encodes the distribution, compressed.
func (l Latency) MarshalJSON() ([]byte, error) {
	if l.h == nil {
		return []byte("null"), nil
	}
	b, err := l.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, fmt.Errorf("bench: encode latency: %w", err)
	}
	return json.Marshal(string(b))
}

// UnmarshalJSON decodes it.
func (l *Latency) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil || text == nil {
		l.h = nil
		return err
	}
	h, err := hdrhistogram.Decode([]byte(*text))
	if err != nil {
		return fmt.Errorf("bench: decode latency: %w", err)
	}
	l.h = h
	return nil
}
