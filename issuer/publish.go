package issuer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// A board holds a tenant's lists as last published. Publishing one tenant is serial; another process is held off by
// the unique sequence in the store.
type board struct {
	turn   chan struct{} // holds one token; who has it may touch the rest
	lists  map[uint64]*statuslist.Publisher
	covers int64  // newest change in lists
	left   uint64 // epoch of the chain for which the lists of a restored database were left
}

func newBoard() *board {
	return &board{turn: make(chan struct{}, 1), lists: map[uint64]*statuslist.Publisher{}}
}

// want says which publication satisfies a caller.
type want struct {
	change    int64 // it covers this change
	lists     int   // it has at least so many lists
	notBefore time.Time
}

func (w want) satisfied(p Publication, lists int) bool {
	return p.Height > 0 && p.Covers >= w.change && lists >= w.lists && !p.IssuedAt.Before(w.notBefore)
}

// Publish publishes and anchors a tenant's lists now, unless the newest publication already says everything.
func (is *Issuer) Publish(ctx context.Context, tenant string) (Published, error) {
	t, err := is.tenant(tenant)
	if err != nil {
		return Published{}, err
	}
	newest, err := is.cfg.Store.Changes(ctx, tenant, 1<<62, func(Flip) {})
	if err != nil {
		return Published{}, fmt.Errorf("read changes: %w", err)
	}
	infos, err := is.cfg.Store.Lists(ctx, tenant)
	if err != nil {
		return Published{}, fmt.Errorf("read status lists: %w", err)
	}
	p, err := is.publish(ctx, t, want{change: newest, lists: len(infos)})
	return Published{Sequence: p.Sequence, Height: p.Height}, err
}

// publish returns a publication that satisfies w: the newest one, or one more. Many waiting callers share one.
func (is *Issuer) publish(ctx context.Context, t *tenant, w want) (Publication, error) {
	b := is.boards[t.ID]
	select { // whoever publishes may be pacing itself: a caller's patience is its own
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return Publication{}, fmt.Errorf("wait for the publisher: %w", ctx.Err())
	}
	for {
		last, err := is.cfg.Store.LastPublication(ctx, t.ID)
		if err != nil {
			return Publication{}, fmt.Errorf("read last publication: %w", err)
		}
		if w.satisfied(last, len(b.lists)) {
			return last, nil
		}
		if err := is.pace(ctx, last); err != nil {
			return Publication{}, err
		}
		p, err := is.publishNext(ctx, t, b, last)
		if errors.Is(err, ErrNotCurrent) { // another process was first: see what it published
			continue
		}
		return p, err
	}
}

// pace keeps publications apart: by a second at least, the step of iat. Faster ones would date themselves into the
// future, where nobody takes them. Only a clock that went back is not waited for.
func (is *Issuer) pace(ctx context.Context, last Publication) error {
	every := max(is.cfg.PublishEvery, time.Second)
	wait := every - is.now().Sub(last.IssuedAt)
	if last.Sequence == 0 || wait <= 0 {
		return nil
	}
	timer := time.NewTimer(min(wait, every))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the publish interval: %w", ctx.Err())
	}
}

// publishNext signs every list of the tenant, records and serves them, then anchors the epoch.
func (is *Issuer) publishNext(ctx context.Context, t *tenant, b *board, last Publication) (Publication, error) {
	newest, err := is.adopt(ctx, t, last)
	if err != nil {
		return Publication{}, err
	}
	if err := is.refresh(ctx, t, b); err != nil {
		return Publication{}, err
	}
	p := Publication{Tenant: t.ID, Sequence: max(last.Sequence, newest.Sequence) + 1, IssuedAt: is.now().Truncate(time.Second), Covers: b.covers}
	// K09: iat never goes back. One that was never anchored because a clock was far ahead binds nobody: nodes and verifiers
	// have not seen it, and waiting for it would hold every revocation until then.
	ahead := last.Height == 0 && last.IssuedAt.After(p.IssuedAt.Add(chainAhead))
	if next := last.IssuedAt.Add(time.Second); last.Sequence > 0 && !ahead && p.IssuedAt.Before(next) {
		p.IssuedAt = next
	}
	if next := newest.IssuedAt.Add(time.Second); newest.Sequence > 0 && p.IssuedAt.Before(next) {
		p.IssuedAt = next
	}
	p.NextUpdate = p.IssuedAt.Add(3 * is.cfg.Heartbeat)
	lists, records, err := is.signLists(t, b, p)
	if err != nil {
		return Publication{}, err
	}
	p.Root = statuslist.EpochRoot(records)
	is.step("status.signed")
	if err := is.cfg.Store.Publish(ctx, p, lists); err != nil {
		return Publication{}, fmt.Errorf("record publication: %w", err)
	}
	is.step("status.published")
	p.Height, err = t.Anchor.Anchor(ctx, registry.StatusEpoch{
		Issuer: t.DID, Sequence: p.Sequence, IssuedAt: p.IssuedAt, NextUpdate: p.NextUpdate, Root: p.Root,
	})
	if err != nil {
		return Publication{}, fmt.Errorf("anchor epoch: %w", err)
	}
	if err := is.cfg.Store.Anchored(context.WithoutCancel(ctx), t.ID, p.Sequence, p.Height); err != nil {
		return Publication{}, fmt.Errorf("record height: %w", err)
	}
	is.step("status.anchored")
	return p, nil
}

// chainAhead is how far an epoch's iat may lie ahead of the chain's clock (registry/README.md, "Codes": bad-time).
const chainAhead = 2 * time.Minute

// refresh brings the lists in memory up to the store: new lists, and every copy of what changed.
func (is *Issuer) refresh(ctx context.Context, t *tenant, b *board) error {
	infos, err := is.cfg.Store.Lists(ctx, t.ID)
	if err != nil {
		return fmt.Errorf("read status lists: %w", err)
	}
	for _, l := range infos {
		if b.lists[l.Number] != nil {
			continue
		}
		list, err := statuslist.NewList(statusBits, l.Length)
		if err != nil {
			return fmt.Errorf("make status list: %w", err)
		}
		if b.lists[l.Number], err = statuslist.NewPublisher(list.Values()); err != nil {
			return fmt.Errorf("make status list: %w", err)
		}
		b.covers = 0 // a list that this process has not seen: read every change again
	}
	var bad error
	newest, err := is.cfg.Store.Changes(ctx, t.ID, b.covers, func(f Flip) {
		list := b.lists[f.List]
		if list == nil {
			bad = errors.New("issuer: a copy names a list that does not exist")
			return
		}
		if err := list.Set(f.Index, f.State.Status()); err != nil {
			bad = fmt.Errorf("set status: %w", err)
		}
	})
	if err := errors.Join(err, bad); err != nil {
		return fmt.Errorf("read changes: %w", err)
	}
	b.covers = newest
	return nil
}

// statusBits: four values (DESIGN 5.3).
const statusBits = 2

func (is *Issuer) signLists(t *tenant, b *board, p Publication) ([]PublishedList, [][]byte, error) {
	var lists []PublishedList
	var records [][]byte
	for n := uint64(1); n <= uint64(len(b.lists)); n++ { // lists are numbered from 1 without gaps
		s, err := b.lists[n].Snapshot()
		if err != nil {
			return nil, nil, fmt.Errorf("compress list: %w", err)
		}
		token, cwt, err := t.press.signList(keys.Header{Typ: keys.TypStatusList, Kid: t.keyURL, X5C: t.X5C}, statuslist.Claims{
			URI: t.listURI(n), IssuedAt: p.IssuedAt, ExpiresAt: p.IssuedAt.Add(is.cfg.ListLife), TTL: is.listTTL(),
			Bits: statusBits, Compressed: s.Compressed,
		})
		if err != nil {
			return nil, nil, fmt.Errorf("sign list: %w", err)
		}
		record, err := statuslist.Record{URI: t.listURI(n), Bits: s.Bits, Length: s.Length, Root: s.Root,
			Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token), CWT: sha256.Sum256(cwt)}}.Marshal()
		if err != nil {
			return nil, nil, fmt.Errorf("encode list record: %w", err)
		}
		lists = append(lists, PublishedList{Number: n, Sequence: p.Sequence, Token: token, CWT: cwt, Record: record})
		records = append(records, record)
	}
	return lists, records, nil
}

func (is *Issuer) listTTL() time.Duration {
	return min(max(is.cfg.Heartbeat, statuslist.MinTTL), statuslist.MaxTTL)
}

// StatusList is a tenant's list as published, in a format: the token, and how long it may be cached. ErrNotFound for an unknown one.
func (is *Issuer) StatusList(ctx context.Context, tenant string, list uint64, mediaType string) (token []byte, ttl time.Duration, err error) {
	if _, err := is.tenant(tenant); err != nil {
		return nil, 0, ErrNotFound
	}
	l, err := is.cfg.Store.PublishedList(ctx, tenant, list)
	if mediaType != statuslist.MediaTypeCWT {
		return l.Token, is.listTTL(), err
	}
	if err == nil && l.CWT == nil {
		err = ErrNotFound
	}
	return l.CWT, is.listTTL(), err
}

// Run publishes lists on change and as a heartbeat, retries what was not anchored, and forgets what may be forgotten,
// until ctx ends. One goroutine a tenant.
func (is *Issuer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, t := range is.tenants {
		wg.Go(func() { is.keepPublished(ctx, t) })
	}
	wg.Go(func() { is.keepHouse(ctx) })
	wg.Wait()
	return ctx.Err()
}

func (is *Issuer) keepPublished(ctx context.Context, t *tenant) {
	every := min(max(is.cfg.Heartbeat/10, 100*time.Millisecond), 10*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := is.publishDue(ctx, t); err != nil && ctx.Err() == nil {
			is.cfg.Log.Error("status lists are not published", "tenant", t.ID, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// publishDue publishes when something is new, unanchored, or older than a heartbeat.
func (is *Issuer) publishDue(ctx context.Context, t *tenant) error {
	newest, err := is.cfg.Store.Changes(ctx, t.ID, 1<<62, func(Flip) {})
	if err != nil {
		return err
	}
	infos, err := is.cfg.Store.Lists(ctx, t.ID)
	if err != nil || len(infos) == 0 {
		return err
	}
	_, err = is.publish(ctx, t, want{change: newest, lists: len(infos), notBefore: is.now().Add(-is.cfg.Heartbeat).Truncate(time.Second)})
	return err
}

func (is *Issuer) keepHouse(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := is.cfg.Store.Forget(ctx, is.now()); err != nil && ctx.Err() == nil {
			is.cfg.Log.Error("expired rows are not forgotten", "error", err)
		}
	}
}
