package fetch_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/fetch"
)

var body = bytes.Repeat([]byte("0123456789"), 100_000)

// answers is a server's behaviour, good and bad.
func answers(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/file":
		_, _ = w.Write(body)
	case "/moved":
		http.Redirect(w, r, "/file", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/cut": // promises more than it sends
		w.Header().Set("Content-Length", "2000000")
		_, _ = w.Write(body)
	case "/nothing":
		w.Header().Set("Content-Length", "2000000")
	default:
		http.NotFound(w, r)
	}
}

func config() fetch.Config {
	var d net.Dialer
	return fetch.Config{Dial: d.DialContext}
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := fetch.ParseURL(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestGet(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(answers))
	defer s.Close()
	for _, tt := range []struct{ path, err string }{
		{"/file", ""},
		{"/moved", ""},
		{"/loop", "more than 10 redirections"},
		{"/none", "the server answers 404 Not Found"},
		{"/cut", "after 1000000 octets: unexpected EOF"},
	} {
		var out bytes.Buffer
		_, err := fetch.Get(t.Context(), parse(t, s.URL+tt.path), &out, config())
		if tt.err == "" && (err != nil || !bytes.Equal(out.Bytes(), body)) {
			t.Errorf("%s: %d octets, %v, want %d", tt.path, out.Len(), err, len(body))
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.err)
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(answers))
	defer s.Close()
	s.Config.ErrorLog = nil
	u := parse(t, s.URL+"/file")
	var unknown *tls.CertificateVerificationError
	if _, err := fetch.Get(t.Context(), u, io.Discard, config()); !errors.As(err, &unknown) {
		t.Errorf("error %v, want that the certificate is unknown", err)
	}
	cfg := config()
	cfg.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
	var out bytes.Buffer
	if _, err := fetch.Get(t.Context(), u, &out, cfg); err != nil || !bytes.Equal(out.Bytes(), body) {
		t.Errorf("%d octets, %v, want %d", out.Len(), err, len(body))
	}
}

// The file has its name only when it is whole; what came of a broken one is kept beside.
func TestToFile(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(answers))
	defer s.Close()
	for _, tt := range []struct {
		path        string
		ok          bool
		whole, part int // lengths; -1: not there
	}{
		{"/file", true, len(body), -1},
		{"/cut", false, -1, len(body)},
		{"/nothing", false, -1, -1},
		{"/none", false, -1, -1},
	} {
		path := filepath.Join(t.TempDir(), "f")
		_, err := fetch.ToFile(t.Context(), parse(t, s.URL+tt.path), path, config())
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.path, err)
		}
		for name, want := range map[string]int{path: tt.whole, path + ".part": tt.part} {
			got := -1
			if info, err := os.Stat(name); err == nil {
				got = int(info.Size())
			}
			if got != want {
				t.Errorf("%s: %s has length %d, want %d", tt.path, filepath.Base(name), got, want)
			}
		}
	}
}

// A download that is stopped ends with the reason, and an old file stays as it was.
func TestToFileStopped(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(body)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cfg := config()
	cfg.Progress = func(octets, total int64) {
		if total != -1 {
			t.Errorf("total %d, want -1: nobody said", total)
		}
		if octets == int64(len(body)) {
			cancel()
		}
	}
	if _, err := fetch.ToFile(ctx, parse(t, s.URL), path, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("the old file has %q, %v", got, err)
	}
}
