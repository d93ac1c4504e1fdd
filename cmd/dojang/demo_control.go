package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// A switchboard stops and starts parts of the running demo. It listens on a Unix socket in the data directory,
// never through the part that it stops.
type switchboard struct {
	parts    map[string]part // issuer, registry, status
	settle   func(ctx context.Context, tenant string, sequence uint64) error
	clock    *clock
	listener net.Listener
	server   *http.Server
}

// A part can be stopped and started again on the same port.
type part interface {
	Up(ctx context.Context) error
	Down(ctx context.Context) error
}

func newSwitchboard(socket string, eco *ecosystem) (*switchboard, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	s := &switchboard{
		parts:  map[string]part{"issuer": eco.issuer, "registry": eco.registry, "status": eco.status},
		settle: eco.settle, clock: eco.clock, listener: l,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{act}/{part}", s.serve)
	mux.HandleFunc("POST /clock/{ahead}", s.serveClock)
	mux.HandleFunc("POST /clock", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.clock.Ahead()) })
	mux.HandleFunc("POST /settle/{tenant}/{sequence}", s.serveSettle)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go s.server.Serve(l) //nolint:errcheck // ends with Close
	return s, nil
}

func (s *switchboard) Close() error { return s.server.Close() }

func (s *switchboard) serve(w http.ResponseWriter, r *http.Request) {
	p, ok := s.parts[r.PathValue("part")]
	if !ok {
		http.Error(w, "no such part", http.StatusNotFound)
		return
	}
	var err error
	switch r.PathValue("act") {
	case "up":
		err = p.Up(r.Context())
	case "down":
		err = p.Down(r.Context())
	default:
		http.Error(w, "no such act", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"part": r.PathValue("part"), "state": r.PathValue("act")}) //nolint:errcheck // the caller sees a short answer
}

// serveClock moves the one clock of issuer, verifier and the story's wallets; the chain keeps its own.
func (s *switchboard) serveClock(w http.ResponseWriter, r *http.Request) {
	ahead, err := time.ParseDuration(r.PathValue("ahead"))
	if err != nil {
		http.Error(w, "a duration is expected, like 40h", http.StatusBadRequest)
		return
	}
	s.clock.Set(ahead)
}

func (s *switchboard) serveSettle(w http.ResponseWriter, r *http.Request) {
	sequence, err := strconv.ParseUint(r.PathValue("sequence"), 10, 64)
	if err == nil {
		err = s.settle(r.Context(), r.PathValue("tenant"), sequence)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// throw asks a running demo's switchboard to stop or start a part.
func throw(ctx context.Context, socket, act, part string) error {
	_, err := control(ctx, socket, "/"+act+"/"+part)
	return err
}

// control posts to a running demo's switchboard and returns its answer.
func control(ctx context.Context, socket, path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control"+path, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("speak to the demo's control socket: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", path, text)
	}
	return string(text), nil
}
