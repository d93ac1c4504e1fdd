package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// The files of a demo's data directory that others read.
const (
	markerFile  = ".dojang-demo" // only a directory that holds it is ever deleted
	demoFile    = "demo.json"
	controlFile = "control.sock"
)

// demoJSON is DIR/demo.json: what scripts need to speak to a running demo.
type demoJSON struct {
	Schema       int       `json:"schema"`
	PID          int       `json:"pid"`
	Registry     partyJSON `json:"registry"`
	Issuer       partyJSON `json:"issuer"`
	Verifier     partyJSON `json:"verifier"`
	WalletAPI    partyJSON `json:"wallet_api"`
	Status       urlJSON   `json:"status"`
	Control      string    `json:"control"`
	TrustAnchors []string  `json:"trust_anchors"`
	People       []person  `json:"people"`
}

type partyJSON struct {
	URL           string `json:"url"`
	ManagementURL string `json:"management_url"`
	Token         string `json:"token"`
}

type urlJSON struct {
	URL string `json:"url"`
}

type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// write puts the file in place at once: a reader sees the whole of it or nothing.
func (d *demoJSON) write(dir string) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, demoFile), append(b, '\n'))
}

// writeFile writes name durably and atomically, readable by the owner alone.
func writeFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// readDemo finds the running demo of a data directory.
func readDemo(dir string) (*demoJSON, error) {
	b, err := os.ReadFile(filepath.Join(dir, demoFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no demo is running on %s (start one with `dojang demo --data %s`)", dir, dir)
	}
	if err != nil {
		return nil, err
	}
	var d demoJSON
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("read %s: %w", demoFile, err)
	}
	if d.Schema != 1 {
		return nil, fmt.Errorf("%s has schema %d, this binary reads 1", demoFile, d.Schema)
	}
	return &d, nil
}

// prepareDir makes the data directory and locks it, or empties it when it is ours and fresh is asked for. Nothing is touched
// that is not ours, or that a running demo uses.
func prepareDir(dir string, fresh bool) (unlock func(), err error) {
	_, err = os.Stat(filepath.Join(dir, markerFile))
	ours := err == nil
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the data directory cannot be read: %w", err)
	}
	if len(entries) > 0 && !ours {
		return nil, fmt.Errorf("%s is not empty and holds no demo (no %s in it); it is left as it is", dir, markerFile)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made (choose another with --data): %w", err)
	}
	if !ours { // before anything else lies there: a kill in between must not leave a directory that is nobody's
		if err := os.WriteFile(filepath.Join(dir, markerFile), []byte("This directory belongs to `dojang demo`; `--fresh` empties it.\n"), 0o600); err != nil {
			return nil, fmt.Errorf("the data directory cannot be written (choose another with --data): %w", err)
		}
	}
	if unlock, err = lockDir(dir); err != nil || !fresh {
		return unlock, err
	}
	if err := empty(dir); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// empty deletes what lies in a directory that is locked. The lock stays, or two could hold one each; so does the marker.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile || e.Name() == markerFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
