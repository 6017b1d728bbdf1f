package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/millrace-tcp/millrace/bench/usage"
)

// order is a line to a process that runs an Agent, and answer the line that it returns.
type order struct {
	Do       string   `json:"do"`
	Address  string   `json:"address,omitempty"`
	Workload Workload `json:"workload,omitzero"`
	Conns    int      `json:"conns,omitempty"`
	Memory   bool     `json:"memory,omitempty"`
}

// What an order asks for.
const (
	doHello   = "hello"
	doRun     = "run"
	doHold    = "hold"
	doRelease = "release"
	doUsage   = "usage"
)

type answer struct {
	Hello  Hello         `json:"hello,omitzero"`
	Result Result        `json:"result,omitzero"`
	Usage  usage.Process `json:"usage,omitzero"`
	Error  string        `json:"error,omitempty"`
}

// Hello is what an Agent says of itself.
type Hello struct {
	// Address is where it serves workloads, and HTTP where it serves a few octets by
	// net/http; empty where it does not.
	Address string `json:"address,omitempty"`
	HTTP    string `json:"http,omitempty"`
	// About is how its stack runs, for people.
	About string `json:"about,omitempty"`
}

// Agent is a process that takes part in a measurement, as a client or as a server.
type Agent struct {
	Hello Hello
	// Dial is that of a client; nil if it is none.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Run, if not nil, runs a workload in place of a Client.
	Run func(ctx context.Context, address string, w Workload) (Result, error)
	// InPlace is that of the Client and of the Server.
	InPlace bool
}

// Answer does what is asked for on a line of r, and writes what came of it as a line of w,
// until r or ctx ends.
func (a *Agent) Answer(ctx context.Context, r io.Reader, w io.Writer) error {
	client := &Client{Dial: a.Dial, InPlace: a.InPlace}
	defer client.Release()
	in, out := json.NewDecoder(r), json.NewEncoder(w)
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("bench: receive order: %w", err)
		}
		reply, err := a.obey(ctx, client, o)
		if err != nil {
			reply.Error = err.Error()
		}
		if err := out.Encode(reply); err != nil {
			return fmt.Errorf("bench: send answer: %w", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func (a *Agent) obey(ctx context.Context, client *Client, o order) (reply answer, err error) {
	switch o.Do {
	case doHello:
		reply.Hello = a.Hello
		return reply, nil
	case doUsage:
		reply.Usage, err = usage.Self(o.Memory)
		return reply, err
	case doRelease:
		client.Release()
		return reply, nil
	case doRun, doHold:
	default:
		return reply, fmt.Errorf("bench: there is no order %q", o.Do)
	}
	switch {
	case o.Do == doRun && a.Run != nil:
		reply.Result, err = a.Run(ctx, o.Address, o.Workload)
	case a.Dial == nil:
		err = errors.New("bench: this end does not dial")
	case o.Do == doRun:
		reply.Result, err = client.Run(ctx, o.Address, o.Workload)
	default:
		err = client.Hold(ctx, o.Address, o.Conns)
	}
	return reply, err
}

// Remote is an Agent in another process. It does one thing at a time. Its calls cannot be
// stopped but by ending the process, which whoever started it does when ctx ends.
type Remote struct {
	mu  sync.Mutex
	in  *json.Encoder
	out *json.Decoder
}

// NewRemote returns the Agent behind the standard input and output of a process.
func NewRemote(stdin io.Writer, stdout io.Reader) *Remote {
	return &Remote{in: json.NewEncoder(stdin), out: json.NewDecoder(stdout)}
}

func (r *Remote) ask(ctx context.Context, o order) (a answer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.in.Encode(o)
	if err == nil {
		err = r.out.Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return a, context.Cause(ctx)
	case err != nil:
		return a, fmt.Errorf("bench: ask the other process: %w", err)
	case strings.HasPrefix(a.Error, ErrStalled.Error()):
		return a, fmt.Errorf("%w%s", ErrStalled, strings.TrimPrefix(a.Error, ErrStalled.Error()))
	case a.Error != "":
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Hello waits until the process is ready and returns what it says of itself.
func (r *Remote) Hello(ctx context.Context) (Hello, error) {
	a, err := r.ask(ctx, order{Do: doHello})
	return a.Hello, err
}

// Run runs a workload there.
func (r *Remote) Run(ctx context.Context, address string, w Workload) (Result, error) {
	a, err := r.ask(ctx, order{Do: doRun, Address: address, Workload: w})
	return a.Result, err
}

// Hold has connections opened and kept, see Client.Hold.
func (r *Remote) Hold(ctx context.Context, address string, conns int) error {
	_, err := r.ask(ctx, order{Do: doHold, Address: address, Conns: conns})
	return err
}

// Release has them closed.
func (r *Remote) Release(ctx context.Context) error {
	_, err := r.ask(ctx, order{Do: doRelease})
	return err
}

// Usage returns what the process has used, see usage.Self.
func (r *Remote) Usage(ctx context.Context, memory bool) (usage.Process, error) {
	a, err := r.ask(ctx, order{Do: doUsage, Memory: memory})
	return a.Usage, err
}
