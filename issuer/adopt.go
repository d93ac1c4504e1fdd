package issuer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// A StatusChain reads what stands on the chain for a tenant's lists, checked; registry/light has it.
type StatusChain interface {
	StatusEpoch(ctx context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error)
	StatusRecords(ctx context.Context, issuer registry.DID) ([][]byte, error)
	registry.StatusSource
}

// adopt looks at the newest epoch on the chain before the next one is made. Where the second status operator went on while this
// issuer was away, or where this database is older than what it published, the entries that got worse there are taken over:
// what was published is never taken back but by an officer. The newest epoch is returned; the next one follows its number.
func (is *Issuer) adopt(ctx context.Context, t *tenant, last Publication) (registry.StatusEpoch, error) {
	if t.Chain == nil {
		return registry.StatusEpoch{}, nil
	}
	newest, _, err := t.Chain.StatusEpoch(ctx, t.DID)
	if errors.Is(err, registry.ErrNotFound) {
		return registry.StatusEpoch{}, nil
	}
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("newest status epoch: %w", err)
	}
	if !newest.Redated() && newest.Sequence <= last.Sequence {
		return newest, nil
	}
	records, err := t.Chain.StatusRecords(ctx, t.DID)
	if err == nil && statuslist.EpochRoot(records) != newest.Root {
		err = statuslist.ErrProof
	}
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("take over from %s: %w", newest.Signer, err)
	}
	worse, err := is.madeWorse(ctx, t, newest, records)
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("take over from %s: %w", newest.Signer, err)
	}
	changed, err := is.cfg.Store.Adopt(ctx, t.ID, Adoption{Flips: worse, Decide: adopted, Entry: audit.Entry{
		Chain: t.ID, Actor: newest.Signer, Action: "credential.adopted", Reason: "status-operator"}})
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("take over from %s: %w", newest.Signer, err)
	}
	own := newest.Sequence
	if newest.Redated() {
		own = newest.Base.Sequence
	}
	if b := is.boards[t.ID]; own > last.Sequence && b.left < own {
		is.cfg.Log.Error("the database is older than what this issuer published: it was restored from a backup; credentials issued since are not in it",
			"tenant", t.ID, "published", own, "in_database", last.Sequence)
		if err := is.leaveLists(ctx, t, records); err != nil {
			return registry.StatusEpoch{}, fmt.Errorf("leave the lists of before the restore: %w", err)
		}
		b.left = own
	}
	is.cfg.Log.Warn("status lists were published by somebody else meanwhile", "tenant", t.ID, "by", newest.Signer, "sequence", newest.Sequence,
		"entries_worse", len(worse), "credentials_changed", changed)
	return newest, nil
}

// leaveLists opens a list that nobody has used. Which entries of the others are in use is not known after a restore (a valid
// entry looks like a free one), so none of them is drawn again (I2). Lists that the database has never seen are entered.
func (is *Issuer) leaveLists(ctx context.Context, t *tenant, records [][]byte) error {
	have, err := is.cfg.Store.Lists(ctx, t.ID)
	if err != nil {
		return err
	}
	for n := len(have) + 1; n <= max(len(have), len(records))+1; n++ {
		l := ListInfo{Number: uint64(n), Length: is.cfg.ListLength, OpenedAt: is.now()}
		if n <= len(records) {
			record, err := statuslist.ParseRecord(records[n-1])
			if err != nil {
				return err
			}
			l.Length = record.Length
		}
		if err := is.cfg.Store.AddList(ctx, t.ID, l); err != nil && !errors.Is(err, ErrNotCurrent) {
			return err
		}
	}
	is.indices.forget(t.ID)
	return nil
}

// adoptAll looks at the chain before anything is issued. Where it cannot be reached, that is made good before the first
// publication.
func (is *Issuer) adoptAll(ctx context.Context) error {
	for id, t := range is.tenants {
		last, err := is.cfg.Store.LastPublication(ctx, id)
		if err != nil {
			return fmt.Errorf("read last publication: %w", err)
		}
		if _, err := is.adopt(ctx, t, last); err != nil {
			is.cfg.Log.Warn("what is published is not compared with the database yet", "tenant", id, "error", err)
		}
	}
	return nil
}

// An Adoption is what Store.Adopt takes over. Entry is written for each credential, with its Object.
type Adoption struct {
	Flips  []Flip
	Decide func(now, to State) (State, bool)
	Entry  audit.Entry
}

// adopted is the state of a credential of which one entry got worse elsewhere; false: it is as bad already.
func adopted(now, to State) (State, bool) {
	switch now {
	case StateOffered, StateAuthorized: // nothing was handed out for sure: it is not going to be
		return StateRevoked, true
	}
	return to, now != to && to.Status().Worse(now.Status())
}

// madeWorse are the entries that the newest epoch has worse than this issuer's own newest; of an own epoch that the database
// has forgotten, all that are not valid: a suspension (a lost telephone) is lost as little as a revocation (DESIGN 7).
func (is *Issuer) madeWorse(ctx context.Context, t *tenant, newest registry.StatusEpoch, records [][]byte) ([]Flip, error) {
	var out []Flip
	for _, raw := range records {
		record, err := statuslist.ParseRecord(raw)
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseUint(strings.TrimPrefix(record.URI, t.listBase), 10, 31)
		if err != nil {
			return nil, statuslist.ErrSubject
		}
		now, base, err := published(ctx, t, newest, record)
		if err != nil {
			return nil, err
		}
		statuslist.Differences(base, now, func(idx uint64, _, after statuslist.Status) {
			if state, ok := stateFor(after); ok {
				out = append(out, Flip{List: number, Index: idx, State: state})
			}
		})
	}
	return out, nil
}

// published reads a list and what it is compared with: the base of an operator's, otherwise a list of valid entries.
func published(ctx context.Context, t *tenant, newest registry.StatusEpoch, record statuslist.Record) (now, base statuslist.Values, err error) {
	list, err := t.Chain.StatusList(ctx, record.URI, statuslist.MediaTypeJWT)
	if err != nil {
		return now, base, err
	}
	if now, err = record.Read(statuslist.MediaTypeJWT, list.Token); err != nil {
		return now, base, err
	}
	if !newest.Redated() {
		base, err = statuslist.NewValues(now.Bits(), make([]byte, len(now.Raw())))
		return now, base, err
	}
	if list.Base == nil {
		return now, base, statuslist.ErrProof
	}
	b := *list.Base
	own, err := statuslist.VerifyRecord(newest.Base.Root, statuslist.RecordProof{Record: b.Record, Path: b.Path, Index: b.Index, Size: b.Size})
	if err != nil || own.Root == record.Root {
		return now, now, err
	}
	base, err = own.Read(statuslist.MediaTypeJWT, b.Token)
	return now, base, err
}

func stateFor(s statuslist.Status) (State, bool) {
	switch s {
	case statuslist.Revoked:
		return StateRevoked, true
	case statuslist.Suspended:
		return StateSuspended, true
	case statuslist.NeedsRenewal:
		return StateNeedsRenewal, true
	}
	return "", false
}
