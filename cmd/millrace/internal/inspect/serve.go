package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// Source is what an instance tells about itself: process and command are filled in.
type Source interface {
	Instance() Instance
}

// socketsMax bounds how many interfaces one process shows.
const socketsMax = 64

// path is the one that is asked for.
const path = "/v1/instance"

// Server answers at the door of this process.
type Server struct {
	http   http.Server
	socket string
}

// Serve opens the door in dir, which is Dir but for tests.
func Serve(dir string, s Source) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	l, socket, err := listen(dir)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	srv := &Server{socket: socket}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		i := s.Instance()
		i.PID, i.Command = os.Getpid(), os.Args
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(i) // who asked and went has no use for the error
	})
	srv.http = http.Server{Handler: mux, ReadHeaderTimeout: answerMax}
	go func() { _ = srv.http.Serve(l) }() // it ends with Close
	return srv, nil
}

// listen takes the first name that is free. A socket that another process of our number
// left behind answers nobody, and makes room.
func listen(dir string) (net.Listener, string, error) {
	for n := range socketsMax {
		name := socketOf(dir, os.Getpid(), n)
		l, err := net.Listen("unix", name)
		if err != nil {
			if c, derr := net.DialTimeout("unix", name, answerMax); derr == nil {
				_ = c.Close() // another interface of this process
				continue
			}
			if rerr := os.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				return nil, "", err
			}
			if l, err = net.Listen("unix", name); err != nil {
				return nil, "", err
			}
		}
		if err := os.Chmod(name, 0o600); err != nil {
			_ = l.Close()
			return nil, "", err
		}
		return l, name, nil
	}
	return nil, "", fmt.Errorf("%d interfaces are open already", socketsMax)
}

// Close shuts the door. The socket goes with it.
func (s *Server) Close() error {
	err := s.http.Close()
	if rerr := os.Remove(s.socket); err == nil && rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = rerr
	}
	return err
}

// answerMax is how long an instance may take to answer, or to ask.
const answerMax = 2 * time.Second
