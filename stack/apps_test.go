package stack_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// TestHTTP runs net/http's server and client, unchanged, with and without TLS.
func TestHTTP(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			p := newPair(t, stack.Config{})
			body := bytes.Repeat([]byte("millrace "), 50_000)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Errorf("server read %d octets: %v", n, err)
				}
				w.Write(body)
			}))
			srv.Listener.Close()
			srv.Listener = listen(t, p.b, "10.0.0.2:443")
			transport := &http.Transport{DialContext: p.a.DialContext, MaxIdleConnsPerHost: 4}
			if scheme == "https" {
				srv.StartTLS()
				roots := x509.NewCertPool()
				roots.AddCert(srv.Certificate())
				transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "example.com"}
			} else {
				srv.Start()
			}
			defer srv.Close()
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for range 5 {
						r, err := client.Post(scheme+"://10.0.0.2:443/", "", bytes.NewReader(body[:i*10_000]))
						if err != nil {
							t.Error(err)
							return
						}
						got, err := io.ReadAll(r.Body)
						r.Body.Close()
						if err != nil || !bytes.Equal(got, body) {
							t.Error(fmt.Errorf("got %d octets, %v, want %d", len(got), err, len(body)))
						}
					}
				})
			}
			all.Wait()
		})
	}
}
