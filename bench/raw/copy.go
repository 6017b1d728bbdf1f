package raw

import (
	"context"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// copyRoom is the size of what is copied from and to: beyond any cache of the last level
// that two cores are likely to have to themselves.
const copyRoom = 64 << 20

// Copy copies memory for the workload's time, by blocks of a bulk transfer, from one region
// to another: what moving octets costs when nothing else is done.
func Copy() func(ctx context.Context, w bench.Workload) (bench.Result, error) {
	from, to := make([]byte, copyRoom), make([]byte, copyRoom)
	for i := range from {
		from[i], to[i] = byte(i), byte(i) // memory that was never written is not there yet
	}
	return func(ctx context.Context, w bench.Workload) (r bench.Result, err error) {
		start := time.Now()
		for r.Elapsed < w.Time && ctx.Err() == nil {
			at := int(r.Octets) % copyRoom
			r.Octets += int64(copy(to[at:at+bench.BlockSize], from[at:]))
			r.Elapsed = time.Since(start)
		}
		return r, context.Cause(ctx)
	}
}
