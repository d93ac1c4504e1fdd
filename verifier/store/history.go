package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/verifier"
)

// event is one outbox row.
type event struct {
	verifier.Event
	name, tenant, id string
}

func (e event) write(tx *sqldb.Tx) error {
	if _, err := tx.Exec(`INSERT INTO outbox (event, tenant, kind, object, code, at) VALUES (?, ?, ?, ?, ?, ?)`,
		e.name, e.tenant, e.Kind, e.id, string(e.Code), e.At); err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return nil
}

func replayName(id string, n int64) string {
	return "presentation." + id + ".replay." + strconv.FormatInt(n, 10)
}

// Replayed implements verifier.Store.
func (s *Store) Replayed(ctx context.Context, name verifier.Name, at time.Time) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(`UPDATE transactions SET replays = replays + 1 WHERE tenant = ? AND id = ? AND state = ? AND replays < ?`,
			name.Tenant, name.ID, string(verifier.StateJudged), int64(verifier.MaxReplays))
		if err != nil || n == 0 {
			return err
		}
		if err := tx.QueryRow(`SELECT replays FROM transactions WHERE tenant = ? AND id = ?`, name.Tenant, name.ID).Scan(&n); err != nil {
			return err
		}
		e := event{name: replayName(name.ID, n), tenant: name.Tenant, id: name.ID,
			Event: verifier.Event{Kind: "presentation.replayed", Code: verifier.NonceReplay, At: at}}
		if err := e.write(tx); err != nil {
			return err
		}
		return s.audit(tx, audit.Entry{Chain: name.Tenant, Actor: "holder", Action: e.Kind, Object: name.ID, Detail: "code=" + string(e.Code)})
	})
}

// History implements verifier.Store. Events are looked up by their names, which are unique: no index by object.
func (s *Store) History(ctx context.Context, name verifier.Name) ([]verifier.Event, error) {
	var out []verifier.Event
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		var replays int64
		if err := tx.QueryRow(`SELECT replays FROM transactions WHERE tenant = ? AND id = ?`, name.Tenant, name.ID).Scan(&replays); err != nil {
			return err
		}
		names := []string{"presentation." + name.ID}
		for n := range replays {
			names = append(names, replayName(name.ID, n+1))
		}
		for _, event := range names {
			var e verifier.Event
			err := tx.QueryRow(`SELECT kind, code, at FROM outbox WHERE event = ? AND tenant = ?`, event, name.Tenant).Scan(&e.Kind, (*string)(&e.Code), &e.At)
			if errors.Is(err, sqldb.ErrNotFound) {
				continue // it has not ended
			}
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, verifier.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return slices.Clip(out), nil
}
