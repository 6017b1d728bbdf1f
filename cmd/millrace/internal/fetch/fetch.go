// Package fetch downloads one URL.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// headerWait is how long a server may take to begin its answer.
	headerWait = 30 * time.Second
	// handshakeWait is how long TLS may take.
	handshakeWait = 10 * time.Second
	// redirectsMax is how many redirections are followed.
	redirectsMax = 10
	// blockLen is the length of one read in octets.
	blockLen = 128 << 10
	// partSuffix is added to the name of a file that is not whole yet.
	partSuffix = ".part"
)

// Config says how to fetch. Dial is needed.
type Config struct {
	// Dial opens a connection; names are its business.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config // nil: the system's roots
	// Progress is called now and then with the octets that came, and with how many there
	// will be, -1 if nobody knows. It may be nil.
	Progress func(octets, total int64)
}

// ParseURL parses what a user calls a URL.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not a URL that begins with http:// or https://", s)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("%q names no host", s)
	}
	return u, nil
}

// Get writes the body of a URL to w and returns its length. An answer that is no success,
// and a body that ends too early, are errors.
func Get(ctx context.Context, u *url.URL, w io.Writer, cfg Config) (int64, error) {
	body, total, err := open(ctx, u, cfg)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return read(u, w, body, total, cfg.Progress)
}

// open sends the request and returns the body of the answer.
func open(ctx context.Context, u *url.URL, cfg Config) (body io.ReadCloser, total int64, err error) {
	transport := &http.Transport{
		DialContext: cfg.Dial, TLSClientConfig: cfg.TLS, TLSHandshakeTimeout: handshakeWait,
		ResponseHeaderTimeout: headerWait, DisableKeepAlives: true,
		// The file as it is, not what it would be unpacked.
		DisableCompression: true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > redirectsMax {
			return fmt.Errorf("more than %d redirections", redirectsMax)
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("User-Agent", "millrace")
	res, err := client.Do(req)
	if err != nil {
		var uerr *url.Error
		if errors.As(err, &uerr) {
			err = uerr.Err // the user knows the URL
		}
		return nil, 0, fmt.Errorf("fetch: get %s: %w", u.Redacted(), err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, 0, fmt.Errorf("fetch: get %s: the server answers %s", u.Redacted(), res.Status)
	}
	return res.Body, res.ContentLength, nil
}

// read copies the body.
func read(u *url.URL, w io.Writer, body io.Reader, total int64, progress func(octets, total int64)) (got int64, err error) {
	block := make([]byte, blockLen)
	for {
		n, err := body.Read(block)
		if n > 0 {
			if _, werr := w.Write(block[:n]); werr != nil {
				return got, fmt.Errorf("fetch: write: %w", werr)
			}
			got += int64(n)
			if progress != nil {
				progress(got, total)
			}
		}
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			return got, fmt.Errorf("fetch: get %s: after %d octets: %w", u.Redacted(), got, err)
		}
	}
}

// ToFile writes the body of a URL to a file. Until it is whole the file has the name
// path.part; a failed download leaves that if anything came, and path as it was.
func ToFile(ctx context.Context, u *url.URL, path string, cfg Config) (got int64, err error) {
	// Asked before the file is made: an answer like 404 leaves nothing behind.
	body, total, err := open(ctx, u, cfg)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	part := path + partSuffix
	f, err := os.Create(part)
	if err != nil {
		return 0, fmt.Errorf("fetch: %w", err)
	}
	got, err = read(u, f, body, total, cfg.Progress)
	if cerr := f.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("fetch: write: %w", cerr)
	}
	if err != nil {
		if got == 0 {
			_ = os.Remove(part)
			return 0, err
		}
		return got, fmt.Errorf("%w; what came is in %s", err, part)
	}
	if err := os.Rename(part, path); err != nil {
		return got, fmt.Errorf("fetch: %w", err)
	}
	return got, nil
}
