package holder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// store writes a logical credential with all of its copies and keys, or nothing.
func (h *Holder) store(ctx context.Context, o *Offer, t OfferedType, copies []checkedCopy) (Received, error) {
	id, err := h.newID()
	if err != nil {
		return Received{}, err
	}
	r := Received{ID: id, VCT: t.VCT, Issuer: string(copies[0].issuer), Copies: len(copies), Expires: copies[0].expires}
	type sealed struct{ token, private []byte }
	rows := make([]sealed, len(copies))
	for i, c := range copies {
		if rows[i].token, err = h.seal.seal("token", []byte(c.token)); err != nil {
			return Received{}, err
		}
		if rows[i].private, err = h.seal.seal("private", c.key.private); err != nil {
			return Received{}, err
		}
		r.Tokens = append(r.Tokens, c.token)
	}
	err = h.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`INSERT INTO credential (id, issuer, configuration, did, kid, vct, received_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			id, o.Issuer, t.Configuration, r.Issuer, copies[0].kid, t.VCT, h.cfg.Now(), r.Expires); err != nil {
			return err
		}
		for i, c := range copies {
			if _, err := tx.Exec(`INSERT INTO copy (credential, n, token, private, status_uri, status_idx) VALUES (?, ?, ?, ?, ?, ?)`,
				id, i, rows[i].token, rows[i].private, c.status.URI, int64(c.status.Index)); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

// A held is one logical credential as the wallet uses it: one copy stands for its claims.
type held struct {
	id, issuer, vct string
	did             registry.DID
	kid             string
	received        time.Time
	expires         time.Time
	unused          int
	status          statuslist.Reference // of the first copy
	credential      *sdjwt.Held
}

// all reads every credential, newest first.
func (h *Holder) all(ctx context.Context) ([]held, error) {
	var list []held
	var tokens [][]byte
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		list, tokens = nil, nil
		rows, err := tx.Query(`SELECT c.id, c.issuer, c.did, c.kid, c.vct, c.received_at, c.expires_at, f.token, f.status_uri, f.status_idx,
				(SELECT COUNT(*) FROM copy u WHERE u.credential = c.id AND u.used_for IS NULL)
			FROM credential c JOIN copy f ON f.credential = c.id AND f.n = 0 ORDER BY c.received_at DESC, c.id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x held
			var did string
			var token []byte
			var idx int64
			if err := rows.Scan(&x.id, &x.issuer, &did, &x.kid, &x.vct, &x.received, &x.expires, &token, &x.status.URI, &idx, &x.unused); err != nil {
				return err
			}
			x.did, x.status.Index = registry.DID(did), uint64(idx)
			list, tokens = append(list, x), append(tokens, token)
		}
		return rows.Close()
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		token, err := h.seal.open("token", tokens[i])
		if err != nil {
			return nil, err
		}
		if list[i].credential, err = sdjwt.Open(string(token)); err != nil {
			return nil, fmt.Errorf("holder: a stored credential cannot be read: %w", err)
		}
	}
	return list, nil
}

// A spent copy is marked for one verifier, durably, before it is shown.
type spent struct {
	n      int
	token  *sdjwt.Held
	key    keys.Signer
	status statuslist.Reference
	reused bool
}

// spend takes a copy for a verifier: an unused one, or the one that this verifier has already seen. Two calls never take
// the same unused copy. Error: ErrNoCopies.
func (h *Holder) spend(ctx context.Context, credential, verifier string) (spent, error) {
	var s spent
	var token, private []byte
	var idx int64
	err := h.db.Write(ctx, func(tx *sqldb.Tx) error {
		s.reused = false
		const columns = `SELECT n, token, private, status_uri, status_idx FROM copy WHERE credential = ? AND `
		err := tx.QueryRow(columns+`used_for IS NULL ORDER BY n LIMIT 1`, credential).Scan(&s.n, &token, &private, &s.status.URI, &idx)
		if errors.Is(err, sqldb.ErrNotFound) {
			s.reused = true
			err = tx.QueryRow(columns+`used_for = ? ORDER BY n LIMIT 1`, credential, verifier).Scan(&s.n, &token, &private, &s.status.URI, &idx)
		}
		if errors.Is(err, sqldb.ErrNotFound) {
			return ErrNoCopies
		}
		if err != nil {
			return err
		}
		changed, err := tx.Exec(`UPDATE copy SET used_for = ?, used_at = ? WHERE credential = ? AND n = ? AND (used_for IS NULL OR used_for = ?)`,
			verifier, h.cfg.Now(), credential, s.n, verifier)
		if err == nil && changed != 1 {
			return ErrNoCopies
		}
		return err
	})
	if err != nil {
		return s, err
	}
	s.status.Index = uint64(idx)
	plain, err := h.seal.open("token", token)
	if err != nil {
		return s, err
	}
	if s.token, err = sdjwt.Open(string(plain)); err != nil {
		return s, err
	}
	if plain, err = h.seal.open("private", private); err != nil {
		return s, err
	}
	s.key, err = openKey(plain)
	return s, err
}

// record writes one line of the person's own history: to whom, for what, which items.
func (h *Holder) record(ctx context.Context, id string, c *Consent, outcome string) error {
	var shown []byte
	for _, item := range c.Items {
		shown = append(append(shown, item.Path...), '\n')
	}
	claims, err := h.seal.seal("claims", shown)
	if err != nil {
		return err
	}
	return h.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO submission (id, at, verifier, purpose, claims, outcome) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET outcome = excluded.outcome`, id, h.cfg.Now(), c.Verifier, c.Purpose, claims, outcome)
		return err
	})
}
