package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
)

// A service is a listener that can go down, so that a connect is refused, and come up again on the same port.
type service struct {
	port    int
	handler http.Handler
	env     *env

	mu     sync.Mutex
	server *httpd.Server
}

func (s *service) Up(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	server, err := httpd.Serve(ctx, httpd.ServeConfig{Listen: "localhost:" + strconv.Itoa(s.port), Handler: s.handler, Log: s.env.log})
	if errors.Is(err, syscall.EADDRINUSE) {
		return errTaken(s.port)
	}
	if err == nil {
		s.server = server
	}
	return err
}

// errTaken says what to do about a port that another program has.
func errTaken(port int) error {
	return fmt.Errorf("port %d of this machine is taken by another program: end that, or begin a new data directory on other ports (--data DIR --listen localhost:0)", port)
}

func (s *service) Down(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := s.server.Stop(ctx)
	s.server = nil
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // the listener is closed, running requests were cut
	}
	return err
}

// group is a part made of several: up in order, down in reverse.
type group []part

func (g group) Up(ctx context.Context) error {
	for _, p := range g {
		if err := p.Up(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (g group) Down(ctx context.Context) error {
	var err error
	for i := len(g) - 1; i >= 0; i-- {
		err = errors.Join(err, g[i].Down(ctx))
	}
	return err
}

// loop is a part that runs a function in the background while it is up.
type loop struct {
	run func(ctx context.Context)

	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{}
}

func (l *loop) Up(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel, l.done = cancel, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		l.run(ctx)
	}(l.done)
	return nil
}

func (l *loop) Down(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cancel == nil {
		return nil
	}
	l.cancel()
	<-l.done
	l.cancel = nil
	return nil
}
