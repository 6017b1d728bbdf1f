package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// order is a line to a process that runs a Client, and answer the line that it returns.
type order struct {
	Address  string   `json:"address"`
	Workload Workload `json:"workload"`
}

type answer struct {
	Result Result `json:"result"`
	Error  string `json:"error,omitempty"`
}

// Remote is a Client in another process, which runs Answer on its standard input and
// output. It runs one workload at a time.
type Remote struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *json.Decoder
}

// NewRemote returns the Client behind the standard input and output of a process.
func NewRemote(stdin io.Writer, stdout io.Reader) *Remote {
	return &Remote{in: json.NewEncoder(stdin), out: json.NewDecoder(stdout)}
}

// Run runs a workload there. It cannot be stopped but by ending the process, which whoever
// started it does when ctx ends.
func (r *Remote) Run(ctx context.Context, address string, w Workload) (Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var a answer
	err := r.in.Encode(order{address, w})
	if err == nil {
		err = r.out.Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return a.Result, context.Cause(ctx)
	case err != nil:
		return a.Result, fmt.Errorf("bench: ask the client's process: %w", err)
	case a.Error != "":
		return a.Result, errors.New(a.Error)
	}
	return a.Result, nil
}

// Answer is the other end of a Remote: it runs what is asked for on a line of r, and writes
// the result as a line of w, until r or ctx ends.
func Answer(ctx context.Context, dial func(ctx context.Context, network, address string) (net.Conn, error),
	r io.Reader, w io.Writer) error {
	client := Client{Dial: dial}
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("bench: receive workload: %w", err)
		}
		var a answer
		result, err := client.Run(ctx, o.Address, o.Workload)
		a.Result = result
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return fmt.Errorf("bench: send result: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
