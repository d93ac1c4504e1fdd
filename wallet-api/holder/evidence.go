package holder

import (
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

// staple makes the Evidence that goes with one copy: what was refreshed on schedule, with the chunk that holds this copy's
// entry cut out of the whole list. Nobody sees an index being asked for.
func (h *Holder) staple(ctx context.Context, c held, status statuslist.Reference, want *oid4vp.EvidenceRequest) ([]byte, error) {
	if h.cfg.Evidence == nil || h.cfg.Status == nil {
		return nil, errors.New("holder: no source of Evidence")
	}
	if want.Network != c.did.Network() {
		return nil, errors.New("holder: Evidence of another network is asked for")
	}
	stored, err := h.freshEvidence(ctx, c, time.Duration(want.MaxAge)*time.Second)
	if err != nil {
		return nil, err
	}
	published, list, err := h.list(ctx, c, status.URI)
	if err != nil {
		return nil, err
	}
	chunk, err := list.CutChunk(status.Index)
	if err != nil {
		return nil, err
	}
	return evidence.Attach(stored, evidence.Status{
		Record: published.Record, Index: published.Index, Size: published.Size, Path: published.Path, Chunk: chunk,
	})
}

// freshEvidence is the stored Evidence of an issuer, or a new one when it is older than the verifier wants.
func (h *Holder) freshEvidence(ctx context.Context, c held, maxAge time.Duration) ([]byte, error) {
	var bytes []byte
	var fetched time.Time
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT bytes, fetched FROM evidence WHERE did = ?`, string(c.did)).Scan(&bytes, &fetched)
	})
	if err != nil && !errors.Is(err, sqldb.ErrNotFound) {
		return nil, err
	}
	if err == nil && maxAge > 0 && h.cfg.Now().Sub(fetched) < maxAge/2 {
		return bytes, nil
	}
	return h.fetchEvidence(ctx, c)
}

func (h *Holder) fetchEvidence(ctx context.Context, c held) ([]byte, error) {
	bytes, err := h.cfg.Evidence.StatusEvidence(ctx, c.did, c.kid, c.vct)
	if err != nil {
		return nil, fmt.Errorf("fetch Evidence: %w", err)
	}
	return bytes, h.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO evidence (did, bytes, fetched) VALUES (?, ?, ?)
			ON CONFLICT (did) DO UPDATE SET bytes = excluded.bytes, fetched = excluded.fetched`, string(c.did), bytes, h.cfg.Now())
		return err
	})
}

// Refresh fetches Evidence for everything held; call it on a schedule, so that a presentation asks nobody.
func (h *Holder) Refresh(ctx context.Context) error {
	list, err := h.all(ctx)
	if err != nil || h.cfg.Evidence == nil {
		return err
	}
	seen := map[registry.DID]bool{}
	for _, c := range list {
		if seen[c.did] {
			continue
		}
		seen[c.did] = true
		if _, err := h.fetchEvidence(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
