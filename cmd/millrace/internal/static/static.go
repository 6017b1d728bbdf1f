// Package static serves the files below a directory over HTTP/1.1.
package static

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

const (
	// headerWait is how long a request's header may take.
	headerWait = 10 * time.Second
	// idleWait is how long a connection may wait for its next request.
	idleWait = 2 * time.Minute
	// shutdownWait is how long transfers may go on after the server was told to stop.
	shutdownWait = 3 * time.Second
	// headerMax bounds a request's header, in octets.
	headerMax = 64 << 10
)

// Handler serves the files below root: ranges, conditional requests and HEAD as package
// net/http does them, index.html for a directory that has one, and else a list of its
// files. Links that lead out of root are refused, and so is what is no file or directory.
func Handler(root *os.Root) http.Handler {
	files := http.FileServerFS(rootFS{root})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
			return
		}
		files.ServeHTTP(w, r)
	})
}

// rootFS is root.FS without the traps: a FIFO would block Open, and an escape is told as
// what the client did wrong.
type rootFS struct{ root *os.Root }

// Open opens a file or directory.
func (f rootFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	info, err := f.root.Stat(name)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	if err == nil {
		var file *os.File
		if file, err = f.root.Open(name); err == nil {
			return file, nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return nil, err
}

// Serve answers requests on l until ctx ends or l fails. It then lets transfers end for a
// short while, closes all connections, and returns nil if ctx ended.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait,
		MaxHeaderBytes: headerMax, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	if s.Shutdown(patience) != nil {
		_ = s.Close() // what is still open by now is cut
	}
	<-ended
	return nil
}
