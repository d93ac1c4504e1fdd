package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dojang-id/dojang/registry/chain"
)

// Snapshots of the state lie in <home>/snapshots, one folder each, named by its height:
//
//	<height>/about     chain.Snapshot, as it is offered
//	<height>/<index>   a chunk
//
// A folder is written under another name and renamed when it is whole. The newest keptSnapshots stay, so that whoever is
// loading one is not left without.
type snapshots struct {
	dir   string
	every uint64 // blocks; 0: none are made
	log   *slog.Logger

	mu      sync.Mutex
	have    []uint64 // heights, ascending
	writing bool
	wg      sync.WaitGroup
}

const (
	keptSnapshots = 2
	aboutFile     = "about"
)

// ErrNoSnapshot: this node has none, or not that one.
var ErrNoSnapshot = errors.New("node: no such snapshot")

func openSnapshots(dir string, every uint64, log *slog.Logger) (*snapshots, error) {
	s := &snapshots{dir: dir, every: every, log: log}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	for _, e := range entries {
		height, err := strconv.ParseUint(e.Name(), 10, 63)
		if err != nil { // a crash while it was written
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("open snapshots: %w", err)
			}
			continue
		}
		s.have = append(s.have, height)
	}
	slices.Sort(s.have)
	return s, nil
}

// committed may start a snapshot of a block that changed the state: only such a version binds every header up to it.
func (s *snapshots) committed(m *chain.Machine, height uint64, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.every == 0 || !changed || s.writing || len(s.have) > 0 && height < s.have[len(s.have)-1]+s.every {
		return
	}
	s.writing = true
	s.wg.Go(func() {
		err := s.write(m, height)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.writing = false
		if err != nil {
			s.log.Warn("snapshot not made", "height", height, "err", err)
			return
		}
		s.have = append(s.have, height)
		for len(s.have) > keptSnapshots {
			if err := os.RemoveAll(s.path(s.have[0])); err != nil {
				s.log.Warn("old snapshot not removed", "height", s.have[0], "err", err)
			}
			s.have = s.have[1:]
		}
	})
}

func (s *snapshots) path(height uint64) string {
	return filepath.Join(s.dir, strconv.FormatUint(height, 10))
}

func (s *snapshots) write(m *chain.Machine, height uint64) error {
	dir := filepath.Join(s.dir, "new-"+strconv.FormatUint(height, 10))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir) // after the rename there is nothing of that name
	about, err := m.Export(height, func(i int, chunk []byte) error {
		return writeFile(filepath.Join(dir, strconv.Itoa(i)), chunk)
	})
	if err != nil {
		return err
	}
	raw, err := about.Marshal()
	if err == nil {
		err = writeFile(filepath.Join(dir, aboutFile), raw)
	}
	if err == nil {
		err = os.Rename(dir, s.path(height))
	}
	if err != nil {
		return err
	}
	return syncDir(s.dir)
}

// oldest height that somebody may be loading; none: the argument.
func (s *snapshots) oldest(none uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.have) == 0 {
		return none
	}
	return s.have[0]
}

func (s *snapshots) newest() (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.have) == 0 {
		return 0, false
	}
	return s.have[len(s.have)-1], true
}

func (s *snapshots) stop() { s.wg.Wait() }

// Snapshot describes the newest snapshot, as chain.ParseSnapshot reads it. Error: ErrNoSnapshot.
func (n *Node) Snapshot() ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	height, ok := r.snapshots.newest()
	if !ok {
		return nil, ErrNoSnapshot
	}
	return r.snapshots.read(height, aboutFile)
}

// SnapshotChunk is one chunk of a snapshot, to be closed: it is 4 MiB, and many may load at a slow pace. Error: ErrNoSnapshot.
func (n *Node) SnapshotChunk(height uint64, index int) (*os.File, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	if index < 0 {
		return nil, ErrNoSnapshot
	}
	return r.snapshots.open(height, strconv.Itoa(index))
}

func (s *snapshots) open(height uint64, name string) (*os.File, error) {
	f, err := os.Open(filepath.Join(s.path(height), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoSnapshot
	}
	return f, err
}

func (s *snapshots) read(height uint64, name string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(s.path(height), name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoSnapshot
	}
	return raw, err
}

// holds reports whether a chunk is the one that a snapshot names.
func holds(about chain.Snapshot, index int, chunk []byte) bool {
	return index < len(about.Chunks) && sha256.Sum256(chunk) == about.Chunks[index]
}

// retain is the lowest height whose block must stay: of the newest blocks the configured number, everything that the header
// tree does not hold yet, and what a newcomer needs after the oldest snapshot that is offered.
func (r *running) retain(height, keep uint64) uint64 {
	if keep == 0 || height <= keep {
		return 0
	}
	lowest := min(height-keep, r.machine.Info().Changed)
	if r.snapshots.every > 0 {
		lowest = min(lowest, r.snapshots.oldest(0))
	}
	return lowest
}

// familyOf splits the key of a fact that has a history; ok is false for any other leaf, also for one whose key ends in what somebody
// chose to look like one: 32 bytes of an anchor or a claim, a member's id.
func familyOf(key string) (family string, at uint64, latest, ok bool) {
	parts := strings.SplitN(key, "/", 7)
	switch {
	case slices.Contains([]string{"anchor", "op", "sponsor"}, parts[0]), strings.HasPrefix(key, "gov/key/"),
		len(parts) == 7 && parts[2] == "round" && parts[5] == "tag", parts[0] == "prop" && len(parts) == 4 && parts[2] == "vote":
		return "", 0, false, false
	}
	if family, ok = strings.CutSuffix(key, "latest"); ok && strings.HasSuffix(family, "/") {
		return family, 0, true, true
	}
	if n := len(key) - 8; n > 3 && strings.HasSuffix(key[:n], "/at/") {
		for _, c := range []byte(key[n:]) {
			at = at<<8 | uint64(c)
		}
		return strings.TrimSuffix(key[:n], "at/"), at, false, true
	}
	return "", 0, false, false
}
