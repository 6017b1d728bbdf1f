// Package metrics shows how a process is doing, over the kernel's network: Prometheus
// metrics at /metrics, and Go's profiles at /debug/pprof/.
package metrics

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Source is what a network implements that has metrics of its own.
type Source interface {
	// Collectors are registered when the page is opened, and read at each request.
	Collectors() []prometheus.Collector
}

// Start serves the pages on a TCP address of the kernel until ctx ends, and returns the
// address. The source may be nil. What goes wrong later is told to failed.
func Start(ctx context.Context, address string, source any, failed func(error)) (net.Addr, error) {
	registry := prometheus.NewRegistry()
	all := []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	if s, ok := source.(Source); ok {
		all = append(all, s.Collectors()...)
	}
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: register: %w", err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() {
		if err := s.Serve(l); err != nil && ctx.Err() == nil {
			failed(fmt.Errorf("metrics: serve: %w", err))
		}
	}()
	return l.Addr(), nil
}
