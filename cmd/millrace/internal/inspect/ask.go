package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// answerOctetsMax bounds an answer: a hundred thousand connections of 1 KiB.
const answerOctetsMax = 100_000 << 10

// Instances asks every instance whose socket is in dir, at once, and returns their answers
// in the order of their names. A socket whose process is gone is removed; an instance that
// does not answer is an error beside the answers of the others.
func Instances(ctx context.Context, dir string) ([]Instance, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	answers := make([]*Instance, len(entries))
	errs := make([]error, len(entries))
	var all sync.WaitGroup
	for i, e := range entries {
		if ownerOf(e.Name()) == 0 {
			continue
		}
		all.Go(func() { answers[i], errs[i] = ask(ctx, filepath.Join(dir, e.Name())) })
	}
	all.Wait()
	var found []Instance
	for i, a := range answers {
		if a != nil {
			found = append(found, *a)
		}
		if errors.Is(errs[i], syscall.ECONNREFUSED) {
			errs[i] = nil
			_ = os.Remove(filepath.Join(dir, entries[i].Name())) // what a killed process left
		}
	}
	return found, errors.Join(errs...)
}

// ask asks one.
func ask(ctx context.Context, socket string) (*Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://millrace"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("inspect: ask %s: %w", socket, err)
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("inspect: ask %s: %w", socket, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("inspect: ask %s: it answers %s", socket, res.Status)
	}
	i := new(Instance)
	if err := json.NewDecoder(io.LimitReader(res.Body, answerOctetsMax)).Decode(i); err != nil {
		return nil, fmt.Errorf("inspect: ask %s: read the answer: %w", socket, err)
	}
	return i, nil
}
