package holder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// staple joins what Refresh has stored: Evidence, and the chunk that holds this copy's entry. It asks nobody: a request
// to a node in the moment of a presentation would tell of it.
func (h *Holder) staple(ctx context.Context, c held, one spent, want *oid4vp.EvidenceRequest) ([]byte, error) {
	if one.chunk == nil {
		return nil, errors.New("holder: no Evidence at hand")
	}
	if want.Network != c.did.Network() {
		return nil, errors.New("holder: Evidence of another network is asked for")
	}
	var proof, path, base, baseChunk []byte
	var position, size int64
	var known time.Time
	status := evidence.Status{Chunk: one.chunk}
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT e.bytes, e.record, e.position, e.size, e.path, e.known_at, e.base, k.base_chunk
			FROM copy k JOIN evidence e ON e.status_uri = k.status_uri AND e.kid = ? AND e.vct = ? WHERE k.credential = ? AND k.n = ?`,
			c.kid, c.vct, c.id, one.n).Scan(&proof, &status.Record, &position, &size, &path, &known, &base, &baseChunk)
	})
	if err != nil {
		return nil, err
	}
	if h.cfg.Now().Sub(known) >= time.Duration(want.MaxAge)*time.Second {
		return nil, errors.New("holder: the Evidence at hand is too old")
	}
	status.Index, status.Size = uint64(position), uint64(size)
	for ; len(path) >= hashSize; path = path[hashSize:] {
		status.Path = append(status.Path, path[:hashSize])
	}
	if base != nil {
		var b basePart
		if err := registry.Decode(base, &b); err != nil {
			return nil, err
		}
		status.Base = &evidence.Status{Record: b.Record, Index: b.Index, Size: b.Size, Path: b.Path, Chunk: baseChunk}
	}
	return evidence.Attach(proof, status) // at most 32 KiB, or an error
}

const hashSize = 32

// A basePart is what is kept of the issuer's own last list, CBOR.
type basePart struct {
	_      struct{} `cbor:",toarray"`
	Record []byte
	Index  uint64
	Size   uint64
	Path   [][]byte
}

// A subject is what one Evidence is about: copies of one type, by one key of one issuer, in one list.
type subject struct {
	did           registry.DID
	kid, vct, uri string
}

// Refresh fetches lists and Evidence for everything held; call it on a schedule, so that a presentation asks nobody and
// works while nobody answers. What cannot be had now stays as it was; the errors are joined.
func (h *Holder) Refresh(ctx context.Context) error { return h.refresh(ctx, "") }

func (h *Holder) refreshOne(ctx context.Context, credential string) error {
	return h.refresh(ctx, credential)
}

// An entry is one copy's place in its list.
type entry struct {
	credential string
	n          int
	index      uint64
}

// refresh is Refresh for one credential, or for all with "".
func (h *Holder) refresh(ctx context.Context, credential string) error {
	if h.cfg.Status == nil {
		return nil
	}
	work := map[subject][]entry{}
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT c.did, c.kid, c.vct, k.status_uri, k.credential, k.n, k.status_idx
			FROM credential c JOIN copy k ON k.credential = c.id WHERE ? = '' OR c.id = ?`, credential, credential)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s subject
			var e entry
			var idx int64
			if err := rows.Scan(&s.did, &s.kid, &s.vct, &s.uri, &e.credential, &e.n, &idx); err != nil {
				return err
			}
			e.index = uint64(idx)
			work[s] = append(work[s], e)
		}
		return rows.Close()
	})
	var errs []error
	for s, entries := range work {
		if err := h.refreshSubject(ctx, s, entries); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, err)...)
}

// A refreshed entry is what one copy needs to be stapled.
type refreshed struct {
	entry
	status statuslist.Status
	chunk  []byte // nil: there is no Evidence that it could go with
	base   []byte // the same chunk of the issuer's own last list, where an operator changed values
}

// refreshSubject reads every copy's entry and chunk out of the checked list, and stores them with the Evidence. Evidence
// comes first: the resolver then answers for the list from what it has just proven, so that both are of one epoch. Where
// they are not, the verifier finds a chunk that proves nothing and looks for itself.
func (h *Holder) refreshSubject(ctx context.Context, s subject, entries []entry) error {
	var proof []byte
	var missing error
	if h.cfg.Evidence != nil {
		if proof, missing = h.cfg.Evidence.StatusEvidence(ctx, s.did, s.kid, s.vct); missing != nil {
			proof, missing = nil, fmt.Errorf("refresh Evidence: %w", missing) // the statuses are kept all the same
		}
	}
	list, err := h.list(ctx, listOf{s.did, s.vct, s.uri})
	if err != nil {
		return errors.Join(missing, fmt.Errorf("refresh a status list: %w", err))
	}
	rows := make([]refreshed, 0, len(entries))
	for _, e := range entries {
		r := refreshed{entry: e}
		if r.status, err = list.values.Status(e.index); err != nil {
			return err
		}
		if proof != nil {
			if r.chunk, err = list.values.CutChunk(e.index); err != nil {
				return err
			}
			if list.base.Len() > 0 {
				if r.base, err = list.base.CutChunk(e.index); err != nil {
					return err
				}
			}
		}
		rows = append(rows, r)
	}
	return errors.Join(missing, h.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, r := range rows {
			if _, err := tx.Exec(`UPDATE copy SET status = ?, status_at = ? WHERE credential = ? AND n = ?`,
				int64(r.status), list.asOf, r.credential, r.n); err != nil {
				return err
			}
		}
		if proof == nil {
			return nil
		}
		return putEvidence(tx, s, proof, list, rows)
	}))
}

// putEvidence writes Evidence and the chunks that go with it together.
func putEvidence(tx *sqldb.Tx, s subject, proof []byte, list listed, rows []refreshed) error {
	for _, r := range rows {
		if _, err := tx.Exec(`UPDATE copy SET chunk = ?, base_chunk = ? WHERE credential = ? AND n = ?`, r.chunk, r.base, r.credential, r.n); err != nil {
			return err
		}
	}
	p := list.published
	var base []byte
	if b := p.Base; b != nil {
		var err error
		if base, err = registry.Encode(basePart{Record: b.Record, Index: b.Index, Size: b.Size, Path: b.Path}); err != nil {
			return err
		}
	}
	_, err := tx.Exec(`INSERT INTO evidence (status_uri, kid, vct, bytes, record, position, size, path, known_at, base) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (status_uri, kid, vct) DO UPDATE SET bytes = excluded.bytes, record = excluded.record, position = excluded.position,
			size = excluded.size, path = excluded.path, known_at = excluded.known_at, base = excluded.base`,
		s.uri, s.kid, s.vct, proof, p.Record, int64(p.Index), int64(p.Size), bytes.Join(p.Path, nil), list.known, base)
	return err
}
