package node

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// Media types of published status lists (draft-ietf-oauth-status-list, section 14).
const (
	StatusJWT = "application/statuslist+jwt"
	StatusCWT = "application/statuslist+cwt"
)

var (
	// ErrRollback: an epoch below the stored one, or another content under the same sequence. Nothing changed.
	ErrRollback = errors.New("node: status epoch goes back")
	// ErrNoList: no such list, or not in that format.
	ErrNoList = errors.New("node: no such status list")
)

// A StatusStore keeps the lists that issuers published, and serves them with every issuer and the engine off.
// One folder an issuer:
//
//	<dir>/<issuer DID id>/epoch          CBOR of storedEpoch, replaced whole
//	<dir>/<issuer DID id>/<sha256>       a token as published
//	<dir>/<issuer DID id>/<sha256>.gz    the same, gzip
//
// A token is written before the epoch that names it, and removed after: a crash leaves a whole epoch, old or new.
type StatusStore struct {
	dir string

	mu      sync.RWMutex
	issuers map[registry.DID]*issuerLists
	byURI   map[string]listPlace
}

type issuerLists struct {
	stored storedEpoch
	lists  []statuslist.Record
}

type listPlace struct {
	issuer registry.DID
	index  int
}

// storedEpoch is deterministic CBOR.
type storedEpoch struct {
	Issuer     string   `cbor:"1,keyasint"`
	Sequence   uint64   `cbor:"2,keyasint"`
	IssuedAt   int64    `cbor:"3,keyasint"`
	NextUpdate int64    `cbor:"4,keyasint"`
	Root       []byte   `cbor:"5,keyasint"`
	Records    [][]byte `cbor:"6,keyasint"`
}

// OpenStatusStore opens or creates the store in dir and checks every epoch against its root again.
func OpenStatusStore(dir string) (*StatusStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open status store: %w", err)
	}
	s := &StatusStore{dir: dir, issuers: map[registry.DID]*issuerLists{}, byURI: map[string]listPlace{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open status store: %w", err)
	}
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name(), "epoch"))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a crash before the first epoch of that issuer
		}
		if err != nil {
			return nil, fmt.Errorf("open status store: %w", err)
		}
		var stored storedEpoch
		if err := cbor.Unmarshal(raw, &stored); err != nil {
			return nil, fmt.Errorf("status store: epoch of %s: %w", e.Name(), err)
		}
		lists, err := parseRecords(stored.Records, [32]byte(stored.Root))
		if err != nil {
			return nil, fmt.Errorf("status store: epoch of %s: %w", e.Name(), err)
		}
		s.adopt(stored, lists)
	}
	return s, nil
}

func parseRecords(records [][]byte, root [32]byte) ([]statuslist.Record, error) {
	if statuslist.EpochRoot(records) != root {
		return nil, statuslist.ErrProof
	}
	lists := make([]statuslist.Record, len(records))
	for i, raw := range records {
		var err error
		if lists[i], err = statuslist.ParseRecord(raw); err != nil {
			return nil, err
		}
	}
	return lists, nil
}

// adopt makes a checked epoch current. Callers hold mu, except while opening.
func (s *StatusStore) adopt(stored storedEpoch, lists []statuslist.Record) {
	issuer := registry.DID(stored.Issuer)
	if old := s.issuers[issuer]; old != nil {
		for _, r := range old.lists {
			delete(s.byURI, r.URI)
		}
	}
	s.issuers[issuer] = &issuerLists{stored: stored, lists: lists}
	for i, r := range lists {
		s.byURI[r.URI] = listPlace{issuer, i}
	}
}

// Epoch is the stored epoch of an issuer.
func (s *StatusStore) Epoch(issuer registry.DID) (registry.StatusEpoch, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.issuers[issuer]
	if l == nil {
		return registry.StatusEpoch{}, false
	}
	return registry.StatusEpoch{Issuer: issuer, Sequence: l.stored.Sequence, IssuedAt: time.Unix(l.stored.IssuedAt, 0).UTC(),
		NextUpdate: time.Unix(l.stored.NextUpdate, 0).UTC(), Root: [32]byte(l.stored.Root)}, true
}

// fetchToken returns a published token by the URI of its list; what it returns is compared with the record's digest.
type fetchToken func(ctx context.Context, uri, mediaType string) ([]byte, error)

// Put stores an epoch that the chain proves: records must hash to its root, and every token that a record names must be
// stored already or come from fetch with the right digest. Errors: ErrRollback, statuslist.ErrProof, what fetch returned;
// after any error the old epoch is still served.
func (s *StatusStore) Put(ctx context.Context, epoch registry.StatusEpoch, records [][]byte, fetch fetchToken) error {
	lists, err := parseRecords(records, epoch.Root)
	if err != nil {
		return err
	}
	if err := s.checkForward(epoch, lists); err != nil {
		return err
	}
	dir := filepath.Join(s.dir, epoch.Issuer.ID())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, r := range lists {
		if err := s.collect(ctx, dir, r, fetch); err != nil {
			return err
		}
	}
	stored := storedEpoch{Issuer: string(epoch.Issuer), Sequence: epoch.Sequence, IssuedAt: epoch.IssuedAt.Unix(),
		NextUpdate: epoch.NextUpdate.Unix(), Root: epoch.Root[:], Records: records}
	raw, err := cbor.Marshal(stored)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.forward(epoch, lists); err != nil { // another Put may have come first
		return err
	}
	if err := writeFile(filepath.Join(dir, "epoch"), raw); err != nil {
		return fmt.Errorf("store status epoch: %w", err)
	}
	s.adopt(stored, lists)
	s.sweep(dir, lists)
	return nil
}

func (s *StatusStore) checkForward(epoch registry.StatusEpoch, lists []statuslist.Record) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.forward(epoch, lists)
}

// forward refuses what goes back, and a list URI that another issuer holds. Callers hold mu.
func (s *StatusStore) forward(epoch registry.StatusEpoch, lists []statuslist.Record) error {
	if old := s.issuers[epoch.Issuer]; old != nil && (epoch.Sequence < old.stored.Sequence ||
		epoch.Sequence == old.stored.Sequence && !bytes.Equal(epoch.Root[:], old.stored.Root)) {
		return ErrRollback
	}
	for _, r := range lists {
		if at, taken := s.byURI[r.URI]; taken && at.issuer != epoch.Issuer {
			return fmt.Errorf("%w: list of another issuer", statuslist.ErrProof)
		}
	}
	return nil
}

// collect makes sure that every token of a record is on disk.
func (s *StatusStore) collect(ctx context.Context, dir string, r statuslist.Record, fetch fetchToken) error {
	for mediaType, digest := range tokensOf(r) {
		path := filepath.Join(dir, hex.EncodeToString(digest[:]))
		if _, err := os.Stat(path + ".gz"); err == nil { // written last
			continue
		}
		token, err := fetch(ctx, r.URI, mediaType)
		if err != nil {
			return fmt.Errorf("fetch status list: %w", err)
		}
		if sha256.Sum256(token) != digest {
			return fmt.Errorf("fetch status list: %w", statuslist.ErrProof)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(token); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		if err := errors.Join(writeFile(path, token), writeFile(path+".gz", packed.Bytes())); err != nil {
			return fmt.Errorf("store status list: %w", err)
		}
	}
	return nil
}

func tokensOf(r statuslist.Record) map[string][32]byte {
	out := map[string][32]byte{}
	if r.Tokens.JWT != [32]byte{} {
		out[StatusJWT] = r.Tokens.JWT
	}
	if r.Tokens.CWT != [32]byte{} {
		out[StatusCWT] = r.Tokens.CWT
	}
	return out
}

// sweep removes what no record of the new epoch names. What stays by mistake is only disk.
func (s *StatusStore) sweep(dir string, lists []statuslist.Record) {
	keep := map[string]bool{"epoch": true}
	for _, r := range lists {
		for _, digest := range tokensOf(r) {
			name := hex.EncodeToString(digest[:])
			keep[name], keep[name+".gz"] = true, true
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// A StoredList is a list ready to be served.
type StoredList struct {
	registry.StatusList
	Digest     [32]byte // SHA-256 of Token: its ETag
	Gzip       []byte   // Token, gzip
	NextUpdate time.Time
	Sequence   uint64
	Issuer     registry.DID
}

// List returns the list at uri in a format. Errors: ErrNoList.
func (s *StatusStore) List(uri, mediaType string) (StoredList, error) {
	for range 3 { // an epoch may replace the files between look-up and reading
		out, path, err := s.find(uri, mediaType)
		if err != nil {
			return StoredList{}, err
		}
		out.Token, err = os.ReadFile(path)
		if err == nil {
			out.Gzip, err = os.ReadFile(path + ".gz")
		}
		if err == nil {
			if sha256.Sum256(out.Token) != out.Digest {
				return StoredList{}, fmt.Errorf("status store: damaged list: %w", statuslist.ErrProof)
			}
			return out, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return StoredList{}, fmt.Errorf("read status list: %w", err)
		}
	}
	return StoredList{}, ErrNoList
}

func (s *StatusStore) find(uri, mediaType string) (StoredList, string, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.byURI[uri]
	if !ok {
		return StoredList{}, "", ErrNoList
	}
	l := s.issuers[at.issuer]
	digest, ok := tokensOf(l.lists[at.index])[mediaType]
	if !ok {
		return StoredList{}, "", ErrNoList
	}
	path, err := statuslist.ProveRecord(l.stored.Records, at.index)
	if err != nil {
		return StoredList{}, "", err
	}
	return StoredList{
		StatusList: registry.StatusList{URI: uri, Record: l.stored.Records[at.index], Path: path,
			Index: uint64(at.index), Size: uint64(len(l.lists))},
		Digest: digest, NextUpdate: time.Unix(l.stored.NextUpdate, 0).UTC(), Sequence: l.stored.Sequence, Issuer: at.issuer,
	}, filepath.Join(s.dir, at.issuer.ID(), hex.EncodeToString(digest[:])), nil
}

// Records of an issuer's stored epoch, in list order, as its publisher gave them. Error: ErrNoList.
func (s *StatusStore) Records(issuer registry.DID) ([][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.issuers[issuer]
	if l == nil {
		return nil, ErrNoList
	}
	return slices.Clone(l.stored.Records), nil
}

// Named is the list of an issuer by the last segment of its URI, for peers that do not have it. Error: ErrNoList.
func (s *StatusStore) Named(issuer registry.DID, name, mediaType string) (StoredList, error) {
	uri := ""
	s.mu.RLock()
	if l := s.issuers[issuer]; l != nil {
		for _, r := range l.lists {
			if _, last, _ := cutLast(r.URI, "/"); last == name {
				uri = r.URI
			}
		}
	}
	s.mu.RUnlock()
	if uri == "" {
		return StoredList{}, ErrNoList
	}
	return s.List(uri, mediaType)
}

// URIs of all lists, sorted.
func (s *StatusStore) URIs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]string, 0, len(s.byURI))
	for uri := range s.byURI {
		out = append(out, uri)
	}
	slices.Sort(out)
	return out
}
