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

// store writes a logical credential with all of its copies and keys, or nothing. A status entry that another stored copy
// has already refuses them all: the two could be linked.
func (h *Holder) store(ctx context.Context, issuer string, t OfferedType, copies []checkedCopy) (Received, error) {
	id, err := h.newID()
	if err != nil {
		return Received{}, err
	}
	first := copies[0]
	r := Received{ID: id, VCT: t.VCT, Issuer: string(first.issuer), Copies: len(copies), Expires: first.expires}
	type sealed struct{ token, private []byte }
	rows := make([]sealed, len(copies))
	for i, c := range copies {
		if rows[i].token, err = h.seal.seal(place("token", id, i), []byte(c.token)); err != nil {
			return Received{}, err
		}
		if rows[i].private, err = h.seal.seal(place("private", id, i), c.key.private); err != nil {
			return Received{}, err
		}
		r.Tokens = append(r.Tokens, c.token)
	}
	err = h.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`INSERT INTO credential (id, issuer, configuration, did, kid, vct, received_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			id, issuer, t.Configuration, r.Issuer, first.kid, t.VCT, h.cfg.Now(), r.Expires); err != nil {
			return err
		}
		for i, c := range copies {
			n, err := tx.Exec(`INSERT INTO copy (credential, n, token, private, status_uri, status_idx) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (status_uri, status_idx) DO NOTHING`, id, i, rows[i].token, rows[i].private, c.status.URI, int64(c.status.Index))
			if err != nil {
				return err
			}
			if n != 1 {
				return fmt.Errorf("%w: a stored copy has the same status entry", ErrUntrusted)
			}
		}
		return nil
	})
	if err != nil {
		return Received{}, err
	}
	return r, nil
}

// A held is one logical credential as the wallet uses it: its first copy stands for its claims.
type held struct {
	id, issuer, vct string
	did             registry.DID
	kid             string
	received        time.Time
	expires         time.Time
	unused          int // copies that nobody has seen
	seen            int // copies that one verifier has seen
	status          statuslist.Reference
	known           knownStatus
	credential      *sdjwt.Held
}

// knownStatus is what the newest Refresh found; at is zero before the first.
type knownStatus struct {
	value statuslist.Status
	at    time.Time
}

// all reads every credential, newest first; seen counts for that verifier, "" for none.
func (h *Holder) all(ctx context.Context, verifier string) ([]held, error) {
	var list []held
	var tokens [][]byte
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT c.id, c.issuer, c.did, c.kid, c.vct, c.received_at, c.expires_at, f.token, f.status_uri, f.status_idx, f.status, f.status_at,
				(SELECT COUNT(*) FROM copy u WHERE u.credential = c.id AND u.used_for IS NULL),
				(SELECT COUNT(*) FROM copy s WHERE s.credential = c.id AND s.used_for = ?)
			FROM credential c JOIN copy f ON f.credential = c.id AND f.n = 0 ORDER BY c.received_at DESC, c.id`, h.seal.blind(verifier))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x held
			var token []byte
			var idx int64
			var status *int64
			if err := rows.Scan(&x.id, &x.issuer, &x.did, &x.kid, &x.vct, &x.received, &x.expires, &token,
				&x.status.URI, &idx, &status, &x.known.at, &x.unused, &x.seen); err != nil {
				return err
			}
			x.status.Index = uint64(idx)
			if status != nil {
				x.known.value = statuslist.Status(*status)
			}
			list, tokens = append(list, x), append(tokens, token)
		}
		return rows.Close()
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].credential, err = h.openToken(list[i].id, 0, tokens[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (h *Holder) openToken(id string, n int, sealed []byte) (*sdjwt.Held, error) {
	token, err := h.seal.open(place("token", id, n), sealed)
	if err != nil {
		return nil, err
	}
	return sdjwt.Open(string(token))
}

// A spent copy is marked for one verifier, durably, before it is shown.
type spent struct {
	n      int
	token  *sdjwt.Held
	key    keys.Signer
	chunk  []byte // for stapling; nil before the first refresh
	reused bool
}

// takenRow is a copy as it lies in the database.
type takenRow struct {
	n                     int
	token, private, chunk []byte
	reused                bool
}

// spend takes one copy of each credential for a verifier and writes the line of the person's history, all or nothing.
// Two calls never take the same unused copy. Error: ErrNoCopies.
func (h *Holder) spend(ctx context.Context, line submission, verifier string, credentials []string) (map[string]spent, error) {
	sealed, err := h.sealLine(line)
	if err != nil {
		return nil, err
	}
	seenBy, now := h.seal.blind(verifier), h.cfg.Now()
	rows := make(map[string]takenRow, len(credentials))
	err = h.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, id := range credentials {
			row, err := takeCopy(tx, id, seenBy)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(`UPDATE copy SET used_for = ?, used_at = ? WHERE credential = ? AND n = ?`, seenBy, now, id, row.n); err != nil {
				return err
			}
			rows[id] = row
		}
		_, err := tx.Exec(`INSERT INTO submission (id, at, line, outcome) VALUES (?, ?, ?, ?)`, line.ID, line.At, sealed, outcomePrepared)
		return err
	})
	if err != nil {
		return nil, err
	}
	taken := make(map[string]spent, len(rows))
	for id, row := range rows {
		if taken[id], err = h.openCopy(id, row); err != nil {
			return nil, err
		}
	}
	return taken, nil
}

// takeCopy finds an unused copy, or one that this verifier has already seen.
func takeCopy(tx *sqldb.Tx, credential string, seenBy []byte) (takenRow, error) {
	const columns = `SELECT n, token, private, chunk FROM copy WHERE credential = ? AND `
	var r takenRow
	err := tx.QueryRow(columns+`used_for IS NULL ORDER BY n LIMIT 1`, credential).Scan(&r.n, &r.token, &r.private, &r.chunk)
	if errors.Is(err, sqldb.ErrNotFound) {
		r.reused = true
		err = tx.QueryRow(columns+`used_for = ? ORDER BY n LIMIT 1`, credential, seenBy).Scan(&r.n, &r.token, &r.private, &r.chunk)
	}
	if errors.Is(err, sqldb.ErrNotFound) {
		return r, ErrNoCopies
	}
	return r, err
}

func (h *Holder) openCopy(id string, r takenRow) (spent, error) {
	s := spent{n: r.n, chunk: r.chunk, reused: r.reused}
	var err error
	if s.token, err = h.openToken(id, r.n, r.token); err != nil {
		return s, err
	}
	private, err := h.seal.open(place("private", id, r.n), r.private)
	if err != nil {
		return s, err
	}
	s.key, err = openKey(private)
	return s, err
}
