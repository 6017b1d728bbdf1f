package network

import (
	"context"
	"net"
	"sync"
)

// kernel is the kernel's TCP.
type kernel struct {
	listen     net.ListenConfig
	dial       net.Dialer
	congestion string // "": the system's default

	mu        sync.Mutex
	listeners []net.Listener
}

// Kernel returns the kernel's TCP as a Network. Of the configuration only Congestion
// applies; it must be one that the kernel has.
func Kernel(cfg Config) Network {
	k := &kernel{congestion: cfg.Congestion}
	// Plain TCP: Go's default for listeners is a multipath socket, which is slower.
	k.listen.SetMultipathTCP(false)
	if cfg.Congestion != "" {
		k.listen.Control = control(cfg.Congestion)
		k.dial.Control = control(cfg.Congestion)
	}
	return k
}

// Listen listens as net.Listen does.
func (k *kernel) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := k.listen.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, l)
	return l, nil
}

// DialContext dials as net.Dialer does.
func (k *kernel) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return k.dial.DialContext(ctx, network, address)
}

// Info asks the kernel about a connection.
func (k *kernel) Info(c net.Conn) (Info, bool) { return kernelInfo(c) }

// About says which TCP it is.
func (k *kernel) About() string { return kernelAbout(k.congestion) }

// Close closes the listeners. Connections stay their users'.
func (k *kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.listeners {
		_ = l.Close() // it may be closed already
	}
	k.listeners = nil
	return nil
}
