package verifier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// lists keeps verified status lists. A presentation whose list is cached under the latest epoch causes no request at
// all (THREATS C11); Refresh fetches new epochs on a schedule.
type lists struct {
	v      *Verifier
	cache  *statuslist.Cache
	flight singleflight.Group

	mu    sync.Mutex
	known map[string]listAsk    // URI -> who signs it; what Refresh keeps warm
	tried map[attempt]time.Time // last failed fetch: a dead node costs one attempt a period

	crowds crowds

	nodes, hosts, small, many, refused atomic.Uint64 // see Counters
	behind                             atomic.Int64
}

// retryAfter is how long a failed fetch is not repeated.
const retryAfter = 2 * time.Second

// listAsk is one question about one entry, on one issuer's behalf.
type listAsk struct {
	facts      sources
	by         issuer
	vct        string
	ref        sdjwt.StatusRef
	now        time.Time
	maxAge     time.Duration
	haveStaple bool   // a stapled chunk answers as well, for epoch
	stapled    uint64 // its sequence
}

func newLists(v *Verifier) (*lists, error) {
	l := &lists{v: v, known: map[string]listAsk{}, tried: map[attempt]time.Time{}}
	cache, err := statuslist.NewCache(statuslist.CacheConfig{
		Max: v.cfg.MaxLists,
		Load: func(context.Context, string) (statuslist.Entry, error) {
			return statuslist.Entry{}, statuslist.ErrUnavailable
		},
	})
	l.cache = cache
	return l, err
}

// status answers from the list of the latest proven epoch, fetching it when it is not here; when it cannot be had, from
// the list of an older epoch, whose age is then its own.
func (l *lists) status(ctx context.Context, ask listAsk) (statement, error) {
	epoch, known, err := ask.facts.epoch(ctx, ask.by.did)
	entry, cached := l.cache.Lookup(ask.ref.URI)
	if err != nil {
		err = fmt.Errorf("status epoch: %w", err)
		if !cached || errors.Is(err, errRepudiated) {
			return statement{}, err
		}
		return outlived(entry, ask, err)
	}
	if epoch.Redated() { // an operator that is not named any more does not keep its list young
		if _, _, err := operatorOf(ctx, ask.facts, ask.by.did, ask.vct, epoch); err != nil {
			if !cached {
				return statement{}, err
			}
			return outlived(entry, ask, err)
		}
	}
	if cached && entry.Sequence == epoch.Sequence {
		at := asOf(epoch, known)
		if at.Sub(entry.AsOf) >= time.Second {
			entry.AsOf = at
			_ = l.cache.Put(entry) // only its age moves; a lost race keeps the other's
		}
		return entryStatement(entry, ask.ref.Index, later(at, entry.AsOf))
	}
	if cached && entry.Sequence > epoch.Sequence {
		// A staple has shown us a newer epoch than our own nodes do: nothing newer is to be had from them.
		return entryStatement(entry, ask.ref.Index, entry.AsOf)
	}
	// The staple speaks for this very epoch: no need to fetch, Refresh will.
	if ask.haveStaple && ask.stapled >= epoch.Sequence {
		l.remember(ask)
		if !cached {
			return statement{}, statuslist.ErrUnavailable
		}
		return entryStatement(entry, ask.ref.Index, entry.AsOf)
	}
	loaded, err := l.load(ctx, ask, epoch, known)
	if err == nil {
		return entryStatement(loaded, ask.ref.Index, loaded.AsOf)
	}
	if cached {
		return outlived(entry, ask, err)
	}
	return statement{}, err
}

// outlived answers from a list that is not the newest, or not known to be: its age is its own, so that it ends on hold.
func outlived(e statuslist.Entry, ask listAsk, why error) (statement, error) {
	s, err := entryStatement(e, ask.ref.Index, e.AsOf)
	s.behind = why
	return s, err
}

func entryStatement(e statuslist.Entry, index uint64, at time.Time) (statement, error) {
	value, err := e.Token.Status(index)
	return statement{value: value, asOf: at, epoch: e.Sequence, root: e.Root, small: e.Token.Values.Len() < smallList}, err
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// load fetches once at a time for one URI and remembers failures for a moment.
func (l *lists) load(ctx context.Context, ask listAsk, epoch registry.StatusEpoch, known registry.Checked) (statuslist.Entry, error) {
	l.remember(ask)
	if l.justTried(attempt{ask.ref.URI, epoch.Sequence}, ask.now) {
		return statuslist.Entry{}, statuslist.ErrUnavailable
	}
	got, err, _ := l.flight.Do(ask.ref.URI, func() (any, error) {
		// Others wait for the same list: one impatient caller must not take it from them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.v.cfg.FetchTimeout)
		defer cancel()
		return l.fetch(ctx, ask, epoch, known)
	})
	if err != nil {
		l.failed(attempt{ask.ref.URI, epoch.Sequence}, ask.now)
		return statuslist.Entry{}, err
	}
	return got.(statuslist.Entry), nil
}

// An attempt is for one epoch: a newer one is worth another try at once.
type attempt struct {
	uri      string
	sequence uint64
}

func (l *lists) failed(a attempt, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tried) >= l.v.cfg.MaxLists {
		clear(l.tried)
	}
	l.tried[a] = at
}

// fetch asks the nodes, then once the status host. It never asks an issuer: the URI was checked to lie under the host
// that the accreditation names.
func (l *lists) fetch(ctx context.Context, ask listAsk, epoch registry.StatusEpoch, known registry.Checked) (statuslist.Entry, error) {
	nodeErr := error(statuslist.ErrUnavailable)
	if l.v.cfg.Status != nil {
		l.nodes.Add(1)
		list, err := l.v.cfg.Status.StatusList(ctx, ask.ref.URI, statuslist.MediaTypeJWT)
		if err == nil {
			entry, err := l.anchored(ctx, ask, list, epoch, known)
			if err == nil {
				return entry, l.cache.Put(entry)
			}
			nodeErr = err
		}
	}
	if l.v.cfg.StatusHost == nil {
		return statuslist.Entry{}, nodeErr
	}
	l.hosts.Add(1)
	token, err := l.v.cfg.StatusHost(ctx, ask.ref.URI, statuslist.MediaTypeJWT)
	if err != nil {
		return statuslist.Entry{}, errors.Join(nodeErr, statuslist.ErrUnavailable)
	}
	entry, err := l.direct(ctx, ask, token, epoch)
	if err != nil {
		return statuslist.Entry{}, err
	}
	return entry, l.cache.Put(entry)
}

// anchored verifies a list with its way into the epoch: record in the epoch's tree, token and values in the record,
// signed by a key of the credential's issuer.
func (l *lists) anchored(ctx context.Context, ask listAsk, list registry.StatusList, epoch registry.StatusEpoch, known registry.Checked) (statuslist.Entry, error) {
	record, err := statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: list.Record, Path: list.Path, Index: list.Index, Size: list.Size})
	if err != nil {
		return statuslist.Entry{}, err
	}
	if record.URI != ask.ref.URI {
		return statuslist.Entry{}, statuslist.ErrSubject
	}
	if err := record.CheckToken(statuslist.MediaTypeJWT, list.Token); err != nil {
		return statuslist.Entry{}, err
	}
	token, err := l.verify(ctx, ask, list.Token, epoch, true)
	if err != nil {
		return statuslist.Entry{}, err
	}
	if err := record.CheckValues(token.Values); err != nil {
		return statuslist.Entry{}, err
	}
	if epoch.Redated() {
		if err := checkRedated(record, list, epoch); err != nil {
			l.refused.Add(1)
			return statuslist.Entry{}, err
		}
	}
	entry := statuslist.Entry{Token: token, Sequence: epoch.Sequence, Root: epoch.Root, AsOf: asOf(epoch, known)}
	return entry, l.follows(entry, epoch)
}

// direct verifies a list that came without its place in the epoch: good only when it is not older than the epoch, and
// then known as of its own date.
func (l *lists) direct(ctx context.Context, ask listAsk, raw []byte, epoch registry.StatusEpoch) (statuslist.Entry, error) {
	if before, ok := l.cache.Lookup(ask.ref.URI); epoch.Redated() && (!ok || before.Sequence < epoch.Base.Sequence) {
		return statuslist.Entry{}, statuslist.ErrUnavailable // an operator's word with nothing to compare it with
	}
	token, err := l.verify(ctx, ask, raw, epoch, false)
	if err != nil {
		return statuslist.Entry{}, err
	}
	if token.IssuedAt.Before(epoch.IssuedAt) {
		return statuslist.Entry{}, statuslist.ErrRollback
	}
	entry := statuslist.Entry{Token: token, Sequence: epoch.Sequence, AsOf: token.IssuedAt}
	return entry, l.follows(entry, epoch)
}

// verify binds the token to the credential's issuer by the same function as the credential itself (THREATS C06).
// A token under an operator's epoch is bound to the operator that the accreditation names.
func (l *lists) verify(ctx context.Context, ask listAsk, raw []byte, epoch registry.StatusEpoch, anchored bool) (*statuslist.Token, error) {
	unverified, err := statuslist.ParseJWT(raw, statuslist.Limits{})
	if err != nil {
		return nil, err
	}
	header := unverified.Header()
	signed := times{first: ask.now, last: ask.now}
	if anchored {
		signed.first = time.Time{} // the epoch vouches for it: a list that did not change outlives its key
	}
	if epoch.Redated() {
		key, err := l.v.operatorKey(ctx, ask, header, epoch)
		if err != nil {
			return nil, err
		}
		return unverified.Verify(key, l.expect(ask))
	}
	signer, f := l.v.bind(ctx, claim{
		issuer: string(ask.by.did), kid: header.Kid, vct: ask.vct, x5c: header.X5C,
		signed: signed, anchored: anchored, under: &ask.by.accreditation,
	}, binding{facts: ask.facts, now: ask.now, maxAge: ask.maxAge})
	if f != nil {
		if f.reason == ReasonTrust {
			return nil, errors.Join(statuslist.ErrUnavailable, f)
		}
		return nil, errors.Join(statuslist.ErrSignature, f)
	}
	if signer.stale != nil && !anchored {
		// Nothing but this key vouches for the list; it may have been lost since.
		return nil, errors.Join(statuslist.ErrUnavailable, signer.stale)
	}
	return unverified.Verify(signer.key, l.expect(ask))
}

func (l *lists) expect(ask listAsk) statuslist.Expect {
	expect := statuslist.Expect{URI: ask.ref.URI, Now: ask.now}
	if entry, ok := l.cache.Lookup(ask.ref.URI); ok {
		expect.Latest = entry.Token.IssuedAt
	}
	return expect
}

func (l *lists) remember(ask listAsk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[ask.ref.URI]; !ok && len(l.known) < l.v.cfg.MaxLists {
		ask.facts.staple = nil
		l.known[ask.ref.URI] = ask
	}
}

func (l *lists) justTried(a attempt, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.tried[a]
	if age := now.Sub(at); ok && age >= 0 && age < retryAfter {
		return true
	}
	delete(l.tried, a)
	return false
}

// refreshing is how many lists are fetched at once: one dead node or list must not make the others late.
const refreshing = 16

// Refresh brings every list seen so far to its issuer's latest epoch. Run it every second or two: presentations then
// cause no requests, and a revocation is known within that time. All are tried; the errors are joined. A list that stays behind
// is an error too, though judgements go on with it while it is young enough.
func (v *Verifier) Refresh(ctx context.Context, now time.Time) error {
	v.lists.mu.Lock()
	asks := make([]listAsk, 0, len(v.lists.known))
	for _, ask := range v.lists.known {
		asks = append(asks, ask)
	}
	v.lists.mu.Unlock()
	errs := make([]error, len(asks))
	var group errgroup.Group
	group.SetLimit(refreshing)
	for i, ask := range asks {
		ask.now = now
		group.Go(func() error {
			s, err := v.lists.status(ctx, ask)
			if err == nil && s.behind != nil {
				err = fmt.Errorf("a status list stays behind: %w", s.behind)
			}
			errs[i] = err
			return nil
		})
	}
	_ = group.Wait() // every error is kept above
	behind := 0
	for _, err := range errs {
		if err != nil {
			behind++
		}
	}
	v.lists.behind.Store(int64(behind))
	return errors.Join(errs...)
}

// Counters are for metrics.
type Counters struct {
	NodeFetches uint64 // status lists asked of registry nodes
	HostFetches uint64 // status lists asked of the status host
	SmallLists  uint64 // judgements by lists of fewer than 10,000 entries (C10)
	ManyLists   uint64 // judgements by issuers with nearly as many lists as credentials (C10)
	Refused     uint64 // lists in which an operator made an entry better, or somebody took a revocation back: raise an alarm
	Conflicts   uint64 // two proven epochs under one number: raise an alarm
	Behind      int    // lists of which the last Refresh could not bring the newest: they age, and end on hold
}

// Counters reads them.
func (v *Verifier) Counters() Counters {
	return Counters{NodeFetches: v.lists.nodes.Load(), HostFetches: v.lists.hosts.Load(), SmallLists: v.lists.small.Load(), ManyLists: v.lists.many.Load(),
		Refused: v.lists.refused.Load(), Conflicts: v.own.conflicts.Load(), Behind: int(v.lists.behind.Load())}
}
