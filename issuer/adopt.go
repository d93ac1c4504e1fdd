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
// a revocation that was published is never taken back. The newest epoch is returned; the next one follows its number.
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
	worse, err := is.madeWorse(ctx, t, newest)
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("take over from %s: %w", newest.Signer, err)
	}
	changed, err := is.cfg.Store.Adopt(ctx, t.ID, Adoption{Flips: worse, Decide: adopted, Entry: audit.Entry{
		Chain: t.ID, Actor: newest.Signer, Action: "credential.adopted", Reason: "status-operator"}})
	if err != nil {
		return registry.StatusEpoch{}, fmt.Errorf("take over from %s: %w", newest.Signer, err)
	}
	is.cfg.Log.Warn("status lists were published by somebody else meanwhile", "tenant", t.ID, "by", newest.Signer, "sequence", newest.Sequence,
		"entries_worse", len(worse), "credentials_changed", changed)
	return newest, nil
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
// has forgotten, the revoked ones.
func (is *Issuer) madeWorse(ctx context.Context, t *tenant, newest registry.StatusEpoch) ([]Flip, error) {
	records, err := t.Chain.StatusRecords(ctx, t.DID)
	if err != nil {
		return nil, err
	}
	if statuslist.EpochRoot(records) != newest.Root {
		return nil, statuslist.ErrProof
	}
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
			if state, ok := stateFor(after); ok && (newest.Redated() || after == statuslist.Revoked) {
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
