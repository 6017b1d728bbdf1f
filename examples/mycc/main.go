// Mycc is a congestion control of one's own, outside of millrace: proved by its test, raced in
// virtual time, and run on a NIC, each time the same object code.
//
//	go test                            what every algorithm must pass
//	go run . sim                       race it against CUBIC
//	go run . sim -html race.html       and plot it
//	go run . serve -nic IF             serve HTTP with it, over AF_XDP (root)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/trace"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mycc:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say sim or serve")
	}
	flags := flag.NewFlagSet("mycc "+args[0], flag.ExitOnError)
	cc := flags.String("cc", "mycc", "congestion control, with options")
	switch args[0] {
	case "sim":
		html := flags.String("html", "", "write a page with plots")
		against := flags.String("against", "cubic", "the other flow's")
		_ = flags.Parse(args[1:])
		return simulate(*cc, *against, *html)
	case "serve":
		nic := flags.String("nic", "", "interface")
		listen := flags.String("listen", ":8080", "address")
		_ = flags.Parse(args[1:])
		return serve(*nic, *listen, *cc)
	}
	return fmt.Errorf("there is no %q, there is sim and serve", args[0])
}

// spec is a minute of two flows over 20 Mbit/s and 40 ms.
func spec(a, b string, seed uint64) (sim.Spec, error) {
	link, err := sim.ParseLink("rate=20mbit,rtt=40ms,queue=1bdp")
	return sim.Spec{
		Link: link, CC: []string{a, b}, Algorithms: algorithms().Creators(),
		Flows: 2, Time: time.Minute, Seed: seed,
	}, err
}

// race runs two flows beside each other.
func race(a, b string, seed uint64) (*sim.Result, error) {
	s, err := spec(a, b, seed)
	if err != nil {
		return nil, err
	}
	return sim.Run(s)
}

func simulate(a, b, html string) error {
	s, err := spec(a, b, 1)
	if err != nil {
		return err
	}
	page := trace.NewPage(a+" and "+b, s.Time)
	page.MSS = sim.MTU - 52
	page.Flow(0, a)
	page.Flow(1, b)
	s.SampleEvery = 10 * time.Millisecond
	s.Sample = func(p sim.Sample) {
		page.Put(&trace.Entry{Flow: p.Flow, Tick: true, Row: trace.Row{
			At: p.At, Cwnd: p.Cwnd, Ssthresh: p.Ssthresh, InFlight: p.InFlight,
			SRTT: p.SRTT, RTTVar: p.RTTVar, MinRTT: p.MinRTT, RTO: p.RTO, Pacing: p.Pacing, Delivery: p.DeliveryRate,
			Delivered: p.Delivered, Lost: p.Lost, Recovery: p.Recovery, Queue: p.Queue, QueueDelay: p.QueueDelay,
		}})
	}
	r, err := sim.Run(s)
	if err != nil {
		return err
	}
	for i, f := range r.Flows {
		fmt.Printf("flow %d  %-8s %6.2f Mbit/s  %4d retransmissions  rtt p50 %.1f ms\n",
			i, f.CC, f.GoodputBPS/1e6, f.Retransmits, f.RTTMillis.P50)
	}
	fmt.Printf("utilization %.3f, Jain %.3f, digest %s\n", r.Link.Utilization, r.Jain, r.Digest)
	if html == "" {
		return nil
	}
	file, err := os.Create(html)
	if err != nil {
		return err
	}
	return errors.Join(page.Write(file), file.Close())
}

// serve answers HTTP with a megabyte, over AF_XDP.
func serve(nic, listen, cc string) error {
	n, err := millrace.Open(nic, millrace.Config{Congestion: cc, Algorithms: algorithms()})
	if err != nil {
		return err
	}
	defer n.Close()
	l, err := n.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	megabyte := make([]byte, 1<<20)
	srv := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, ok := r.Context().Value(connKey{}).(*stack.Conn); ok {
				if i, err := c.Info(); err == nil {
					w.Header().Set("X-Congestion", i.Congestion)
				}
			}
			_, _ = w.Write(megabyte)
		}),
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// connKey is where a request finds its connection.
type connKey struct{}
