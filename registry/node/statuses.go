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
	StatusJWT = statuslist.MediaTypeJWT
	StatusCWT = statuslist.MediaTypeCWT
)

var (
	// ErrRollback: an epoch below the stored one, another content under the same sequence, an entry that left revoked, a list that is
	// gone, or a list of a second status operator in which one is better. Nothing changed.
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
	byURI   map[string]registry.DID
	tokens  tokenMemory             // has a lock of its own
	archive *archive                // nil: none
	keeps   func(registry.DID) bool // whose lists are archived

	reading chan struct{} // held while a list is unpacked: a list may take some ten MiB
}

type issuerLists struct {
	stored storedEpoch
	lists  []statuslist.Record
	base   []statuslist.Record // of stored.Base
}

// storedEpoch is deterministic CBOR.
type storedEpoch struct {
	Issuer     string   `cbor:"1,keyasint"`
	Sequence   uint64   `cbor:"2,keyasint"`
	IssuedAt   int64    `cbor:"3,keyasint"`
	NextUpdate int64    `cbor:"4,keyasint"`
	Root       []byte   `cbor:"5,keyasint"`
	Records    [][]byte `cbor:"6,keyasint"`
	Signer     string   `cbor:"7,keyasint,omitempty"`
	// Base is the issuer's own newest epoch where its operator signed this one.
	Base *storedEpoch `cbor:"8,keyasint,omitempty"`
}

func (s *storedEpoch) epoch(issuer registry.DID) registry.StatusEpoch {
	e := registry.StatusEpoch{Issuer: issuer, Sequence: s.Sequence, IssuedAt: time.Unix(s.IssuedAt, 0).UTC(),
		NextUpdate: time.Unix(s.NextUpdate, 0).UTC(), Root: [32]byte(s.Root), Signer: s.Signer}
	if b := s.Base; b != nil {
		e.Base = registry.EpochBase{Sequence: b.Sequence, IssuedAt: time.Unix(b.IssuedAt, 0).UTC(), Root: [32]byte(b.Root), Signer: b.Signer}
	}
	return e
}

// OpenStatusStore opens or creates the store in dir and checks every epoch against its root again.
func OpenStatusStore(dir string) (*StatusStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open status store: %w", err)
	}
	s := &StatusStore{dir: dir, issuers: map[registry.DID]*issuerLists{}, byURI: map[string]registry.DID{}, reading: make(chan struct{}, 2)}
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
		lists, err := openEpoch(raw)
		if err != nil {
			return nil, fmt.Errorf("status store: epoch of %s: %w", e.Name(), err)
		}
		s.adopt(lists)
	}
	return s, nil
}

func openEpoch(raw []byte) (*issuerLists, error) {
	var stored storedEpoch
	if err := strictCBOR.Unmarshal(raw, &stored); err != nil {
		return nil, err
	}
	return stored.open()
}

func (s storedEpoch) open() (*issuerLists, error) {
	out := &issuerLists{stored: s}
	var err error
	if out.lists, err = s.parse(); err == nil && s.Base != nil {
		out.base, err = s.Base.parse()
	}
	return out, err
}

// parse takes records that hash to the root and name lists of the issuer, each once: a URI of another issuer would keep that one's
// lists from being served, and of two records of one URI a reader might be shown the one that nobody compares.
func (s *storedEpoch) parse() ([]statuslist.Record, error) {
	if len(s.Root) != sha256.Size || statuslist.EpochRoot(s.Records) != [32]byte(s.Root) {
		return nil, statuslist.ErrProof
	}
	lists, seen := make([]statuslist.Record, len(s.Records)), map[string]bool{}
	for i, raw := range s.Records {
		r, err := statuslist.ParseRecord(raw)
		if err != nil {
			return nil, err
		}
		if _, err := listName(r.URI, registry.DID(s.Issuer)); err != nil || seen[r.URI] {
			return nil, fmt.Errorf("%w: a list of another issuer, or one twice", statuslist.ErrProof)
		}
		lists[i], seen[r.URI] = r, true
	}
	return lists, nil
}

// adopt makes a checked epoch current. Callers hold mu, except while opening.
func (s *StatusStore) adopt(l *issuerLists) {
	issuer := registry.DID(l.stored.Issuer)
	if old := s.issuers[issuer]; old != nil {
		for _, r := range old.lists {
			delete(s.byURI, r.URI)
		}
	}
	s.issuers[issuer] = l
	for _, r := range l.lists {
		s.byURI[r.URI] = issuer
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
	return l.stored.epoch(issuer), true
}

// A ListSource gives what an epoch names; nothing it says is believed.
type ListSource interface {
	// Records of the epoch, or of its base.
	Records(ctx context.Context, base bool) ([][]byte, error)
	// Token of a list by its URI.
	Token(ctx context.Context, uri, mediaType string, base bool) ([]byte, error)
}

// Put stores an epoch that the chain proves: records must hash to its root, and every token that a record names must be
// stored already or come from the source with the right digest and the list that the record names. Entries are compared as registry/README.md says ("Second status
// operator"). Errors: ErrRollback, statuslist.ErrProof, what the source returned; after any error the old epoch is still served.
func (s *StatusStore) Put(ctx context.Context, epoch registry.StatusEpoch, from ListSource) error {
	records, err := from.Records(ctx, false)
	if err != nil {
		return err
	}
	l := &issuerLists{stored: storedEpoch{Issuer: string(epoch.Issuer), Sequence: epoch.Sequence, IssuedAt: epoch.IssuedAt.Unix(),
		NextUpdate: epoch.NextUpdate.Unix(), Root: epoch.Root[:], Records: records, Signer: epoch.Signer}}
	if l.lists, err = l.stored.parse(); err != nil {
		return err
	}
	old, err := s.checkForward(epoch)
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, epoch.Issuer.ID())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if epoch.Redated() {
		if l.stored.Base, err = baseOf(ctx, epoch, old, from); err != nil {
			return err
		}
		if l, err = l.stored.open(); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		lists []statuslist.Record
		base  bool
	}{{l.base, true}, {l.lists, false}} {
		for _, r := range part.lists {
			err := s.collect(dir, r, func(mediaType string) ([]byte, error) { return from.Token(ctx, r.URI, mediaType, part.base) })
			if err != nil {
				return err
			}
		}
	}
	if err := s.compareLists(dir, old, l); err != nil {
		return err
	}
	if err := s.archiveLists(dir, old, l); err != nil {
		return err
	}
	raw, err := cbor.Marshal(l.stored)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.issuers[epoch.Issuer] != old { // another Put came first: what was compared is not what is served
		return errRaced
	}
	if err := s.forward(epoch); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "epoch"), raw); err != nil {
		return fmt.Errorf("store status epoch: %w", err)
	}
	s.adopt(l)
	s.sweep(dir, slices.Concat(l.lists, l.base))
	return nil
}

var errRaced = errors.New("node: another status epoch was stored meanwhile")

// checkForward returns what is served of the issuer now; nil: nothing.
func (s *StatusStore) checkForward(epoch registry.StatusEpoch) (*issuerLists, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.issuers[epoch.Issuer], s.forward(epoch)
}

// forward refuses what goes back. Callers hold mu.
func (s *StatusStore) forward(epoch registry.StatusEpoch) error {
	if old := s.issuers[epoch.Issuer]; old != nil && (epoch.Sequence < old.stored.Sequence ||
		epoch.Sequence == old.stored.Sequence && !bytes.Equal(epoch.Root[:], old.stored.Root)) {
		return ErrRollback
	}
	return nil
}

// collect makes sure that every token of a record is on disk.
func (s *StatusStore) collect(dir string, r statuslist.Record, fetch func(mediaType string) ([]byte, error)) error {
	for mediaType, digest := range tokensOf(r) {
		path := filepath.Join(dir, hex.EncodeToString(digest[:]))
		if _, err := os.Stat(path + ".gz"); err == nil { // written last
			continue
		}
		token, err := fetch(mediaType)
		if err != nil {
			return fmt.Errorf("fetch status list: %w", err)
		}
		if err := s.checkToken(r, mediaType, token); err != nil {
			return fmt.Errorf("fetch status list: %w", err)
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

// List returns the list at uri in a format, with the issuer's own beside an operator's. Errors: ErrNoList.
func (s *StatusStore) List(uri, mediaType string) (StoredList, error) {
	return s.read(func() (registry.DID, string) {
		return s.byURI[uri], uri
	}, mediaType, false)
}

// Records of an issuer's stored epoch, or of its base, in list order, as published. Error: ErrNoList.
func (s *StatusStore) Records(issuer registry.DID, base bool) ([][]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.issuers[issuer]
	if l == nil || base && l.stored.Base == nil {
		return nil, ErrNoList
	}
	records, _ := l.part(base)
	return slices.Clone(records), nil
}

// Named is the list of an issuer by the last segment of its URI, in the newest epoch or in its base, for peers that do not have
// it. Error: ErrNoList.
func (s *StatusStore) Named(issuer registry.DID, name, mediaType string, base bool) (StoredList, error) {
	return s.read(func() (registry.DID, string) {
		if l := s.issuers[issuer]; l != nil {
			for _, r := range l.lists {
				if _, last, _ := cutLast(r.URI, "/"); last == name {
					return issuer, r.URI
				}
			}
		}
		return "", ""
	}, mediaType, base)
}

// read finds a list under the lock and reads its files without it: an epoch may replace them in between.
func (s *StatusStore) read(which func() (registry.DID, string), mediaType string, base bool) (StoredList, error) {
	for range 3 {
		s.mu.RLock()
		issuer, uri := which()
		l := s.issuers[issuer]
		s.mu.RUnlock()
		if l == nil || base && l.stored.Base == nil {
			return StoredList{}, ErrNoList
		}
		out, err := s.load(l, uri, mediaType, base)
		if err == nil && !base && l.stored.Base != nil {
			out.Base, err = s.base(l, uri, mediaType)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return out, err
		}
	}
	return StoredList{}, ErrNoList
}

// base is the issuer's own list beside its operator's, without the token where the values are the same; nil when they are not, and
// the issuer has not published in this format: readers of it can then compare with nothing.
func (s *StatusStore) base(l *issuerLists, uri, mediaType string) (*registry.StatusList, error) {
	own, err := s.load(l, uri, mediaType, true)
	same := sameRoot(l, uri)
	if errors.Is(err, ErrNoList) && same {
		own, err = s.load(l, uri, StatusJWT, true)
	}
	if errors.Is(err, ErrNoList) {
		return nil, nil
	}
	if same {
		own.Token = []byte{}
	}
	return &own.StatusList, err
}

// part is the newest epoch, or its base.
func (l *issuerLists) part(base bool) ([][]byte, []statuslist.Record) {
	if base {
		return l.stored.Base.Records, l.base
	}
	return l.stored.Records, l.lists
}

func sameRoot(l *issuerLists, uri string) bool {
	named := func(r statuslist.Record) bool { return r.URI == uri }
	a, b := slices.IndexFunc(l.lists, named), slices.IndexFunc(l.base, named)
	return a >= 0 && b >= 0 && l.lists[a].Root == l.base[b].Root
}

func (s *StatusStore) load(l *issuerLists, uri, mediaType string, base bool) (StoredList, error) {
	records, lists := l.part(base)
	at := slices.IndexFunc(lists, func(r statuslist.Record) bool { return r.URI == uri })
	if at < 0 {
		return StoredList{}, ErrNoList
	}
	digest, ok := tokensOf(lists[at])[mediaType]
	if !ok {
		return StoredList{}, ErrNoList
	}
	path, err := statuslist.ProveRecord(records, at)
	if err != nil {
		return StoredList{}, err
	}
	issuer := registry.DID(l.stored.Issuer)
	out := StoredList{
		StatusList: registry.StatusList{URI: uri, Record: records[at], Path: path, Index: uint64(at), Size: uint64(len(lists))},
		Digest:     digest, NextUpdate: time.Unix(l.stored.NextUpdate, 0).UTC(), Sequence: l.stored.Sequence, Issuer: issuer,
	}
	t, err := s.token(issuer, digest)
	out.Token, out.Gzip = t.plain, t.gzip
	return out, err
}

func (s *StatusStore) token(issuer registry.DID, digest [32]byte) (token, error) {
	if t, ok := s.tokens.get(digest); ok {
		return t, nil
	}
	var t token
	var err error
	file := filepath.Join(s.dir, issuer.ID(), hex.EncodeToString(digest[:]))
	if t.plain, err = os.ReadFile(file); err == nil {
		t.gzip, err = os.ReadFile(file + ".gz")
	}
	if err != nil {
		return token{}, fmt.Errorf("read status list: %w", err)
	}
	if sha256.Sum256(t.plain) != digest {
		return token{}, fmt.Errorf("status store: damaged list: %w", statuslist.ErrProof)
	}
	s.tokens.put(digest, t)
	return t, nil
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
