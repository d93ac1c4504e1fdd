package light

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/evidence/entry"
)

// A subject is one DID (or one type): all that was ever asked about it comes in one Evidence under one header.
type subject struct {
	id string

	mu      sync.Mutex // held while fetching: one fetch serves all who wait
	want    Query
	facts   *evidence.Facts
	raw     []byte    // of facts
	fetched time.Time // by Config.Now
	asked   time.Time // by a caller, not by Follow
	failed  time.Time // of the newest attempt that brought nothing
	err     error     // of that attempt
}

// Key implements registry.Resolver.
func (c *Client) Key(ctx context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	if !registry.ValidFragment(id) || !c.ours(did) {
		return registry.Key{}, registry.Checked{}, registry.ErrNotFound
	}
	facts, err := c.facts(ctx, Query{DID: did, Keys: []string{id}})
	if err != nil {
		return registry.Key{}, registry.Checked{}, err
	}
	return facts.Key(ctx, did, id, at)
}

// Accreditation implements registry.Resolver.
func (c *Client) Accreditation(ctx context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	if !registry.ValidType(vct) || !c.ours(did) {
		return registry.Accreditation{}, registry.Checked{}, registry.ErrNotFound
	}
	facts, err := c.facts(ctx, Query{DID: did, Types: []string{vct}})
	if err != nil {
		return registry.Accreditation{}, registry.Checked{}, err
	}
	fact, checked, err := facts.Accreditation(ctx, did, vct, at)
	if errors.Is(err, registry.ErrUnavailable) { // a moment before the newest change: its own Evidence
		if facts, _, err = c.fetch(ctx, Query{DID: did, Types: []string{vct}, At: at}, nil); err == nil {
			return facts.Accreditation(ctx, did, vct, at)
		}
	}
	return fact, checked, err
}

// Registration implements registry.Resolver.
func (c *Client) Registration(ctx context.Context, did registry.DID, purpose string, at time.Time) (registry.Registration, registry.Checked, error) {
	if !registry.ValidFragment(purpose) || !c.ours(did) {
		return registry.Registration{}, registry.Checked{}, registry.ErrNotFound
	}
	facts, err := c.facts(ctx, Query{DID: did, Purposes: []string{purpose}})
	if err != nil {
		return registry.Registration{}, registry.Checked{}, err
	}
	fact, checked, err := facts.Registration(ctx, did, purpose, at)
	if errors.Is(err, registry.ErrUnavailable) { // a moment before the newest change: its own Evidence
		if facts, _, err = c.fetch(ctx, Query{DID: did, Purposes: []string{purpose}, At: at}, nil); err == nil {
			return facts.Registration(ctx, did, purpose, at)
		}
	}
	return fact, checked, err
}

// TypeDigest implements registry.Resolver.
func (c *Client) TypeDigest(ctx context.Context, vct string) ([32]byte, registry.Checked, error) {
	if !registry.ValidType(vct) {
		return [32]byte{}, registry.Checked{}, registry.ErrNotFound
	}
	facts, err := c.facts(ctx, Query{Metadata: []string{vct}})
	if err != nil {
		return [32]byte{}, registry.Checked{}, err
	}
	return facts.TypeDigest(ctx, vct)
}

// StatusEpoch implements registry.Resolver.
func (c *Client) StatusEpoch(ctx context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	if !c.ours(issuer) {
		return registry.StatusEpoch{}, registry.Checked{}, registry.ErrNotFound
	}
	facts, err := c.facts(ctx, Query{DID: issuer, Status: true})
	if err != nil {
		return registry.StatusEpoch{}, registry.Checked{}, err
	}
	return facts.StatusEpoch(ctx, issuer)
}

// Evidence returns the bytes for stapling: what a query asks for, checked, under the newest header that a node gave;
// a stored one with all of it when no node can be reached.
func (c *Client) Evidence(ctx context.Context, q Query) ([]byte, error) {
	q, err := ParseQuery(q.Values())
	if err != nil {
		return nil, err
	}
	past := !q.At.IsZero() || !q.Known.IsZero() || q.Height > 0
	if past || q.DID != "" && q.withoutDID() > 0 || q.DID == "" { // not what a subject keeps
		_, raw, err := c.fetch(ctx, q, nil)
		return raw, err
	}
	s := c.subject(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := c.refresh(ctx, s, q); err != nil {
		return nil, err
	}
	if slices.Equal(s.want.Keys, q.Keys) && slices.Equal(s.want.Types, q.Types) && slices.Equal(s.want.Purposes, q.Purposes) && s.want.Status == q.Status {
		return s.raw, nil
	}
	// The subject's Evidence holds more than was asked for: a wallet must not staple what does not concern the verifier.
	if _, raw, err := c.fetch(ctx, q, nil); err == nil {
		return raw, nil
	}
	return s.raw, nil
}

// Facts asks the nodes for one Evidence, past every cache, and returns what it proves beside its bytes.
func (c *Client) Facts(ctx context.Context, q Query) (*evidence.Facts, []byte, error) {
	q, err := ParseQuery(q.Values())
	if err != nil {
		return nil, nil, err
	}
	return c.fetch(ctx, q, nil)
}

// ours refuses identifiers of other networks and malformed ones: they are absent here by their very name.
func (c *Client) ours(did registry.DID) bool {
	_, err := registry.ParseDID(string(did))
	return err == nil && did.Network() == c.cfg.Trust.Network
}

// facts answers from the cache while it is young, asks the nodes otherwise, and goes back to checked older facts when
// no node can be reached.
func (c *Client) facts(ctx context.Context, q Query) (*evidence.Facts, error) {
	s := c.subject(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = c.cfg.Now()
	if err := c.refresh(ctx, s, q); err != nil {
		return nil, err
	}
	return s.facts, nil
}

func (c *Client) subject(q Query) *subject {
	id := string(q.DID)
	if id == "" {
		id = "type " + q.Metadata[0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subjects[id]
	if s == nil {
		if len(c.subjects) >= maxSubjects { // strangers' DIDs must not push out memory; which one goes is of no matter
			for old := range c.subjects {
				if !c.follow[registry.DID(old)] {
					delete(c.subjects, old)
					break
				}
			}
		}
		s = &subject{id: id, want: Query{DID: q.DID}}
		c.subjects[id] = s
	}
	return s
}

// refresh makes s hold what q asks for, as new as Config.CacheTTL wants. Callers hold s.mu.
func (c *Client) refresh(ctx context.Context, s *subject, q Query) error {
	now := c.cfg.Now()
	want, more := s.want.with(q)
	if want.size() > MaxQueryKeys { // names that were proven absent go first: strangers can invent any number of them
		kept, _ := s.want.found(s.facts).with(q)
		if want = kept; want.size() > MaxQueryKeys {
			want = q
			want.Status = want.Status || s.want.Status
		}
	}
	behind := s.facts != nil && s.facts.Head().Height < c.floor.Load() // of what this Client itself has written
	if !more && s.facts != nil && !behind && young(now, s.fetched, c.cfg.CacheTTL) {
		return nil
	}
	if !more && young(now, s.failed, c.cfg.CacheTTL) { // nodes were down a moment ago: do not make every caller wait for it
		if s.facts == nil || errors.Is(s.err, ErrAttack) {
			return s.err
		}
		return nil
	}
	facts, raw, err := c.fetch(ctx, want, s.facts)
	if errors.Is(err, errTooMuch) { // what was ever asked about the subject does not go into one Evidence: the question alone
		want = q
		facts, raw, err = c.fetch(ctx, want, s.facts)
	}
	if err != nil {
		if ctx.Err() == nil && !more {
			s.failed, s.err = now, err
		}
		if more || s.facts == nil || errors.Is(err, ErrAttack) {
			return err
		}
		c.cfg.Logger.Warn("registry not reachable, older facts are used", "subject", s.id, "known_at", s.facts.Head().KnownAt, "err", err)
		return nil
	}
	s.want, s.facts, s.raw, s.fetched, s.err = want, facts, raw, now, nil
	s.failed = time.Time{}
	if c.store != nil {
		c.store.putEvidence(s.id, want, raw)
	}
	return nil
}

// young also refuses a time in the future: the clock may have been moved back.
func young(now, then time.Time, ttl time.Duration) bool {
	age := now.Sub(then)
	return !then.IsZero() && age >= 0 && age < ttl
}

// fetch asks the nodes for one Evidence. What is older than have is not taken: a node that lags, or one that hides.
func (c *Client) fetch(ctx context.Context, q Query, have *evidence.Facts) (facts *evidence.Facts, raw []byte, err error) {
	err = c.ask(ctx, func(ctx context.Context, node string) error {
		f, body, err := c.fetchFrom(ctx, node, q)
		if err != nil {
			return err
		}
		if have != nil && f.Head().Height < have.Head().Height {
			return errBehind
		}
		facts, raw = f, body
		return nil
	})
	return facts, raw, err
}

var (
	errBehind  = errors.New("registry node is behind")
	errTooMuch = errors.New("more than one Evidence holds")
)

func (c *Client) fetchFrom(ctx context.Context, node string, q Query) (*evidence.Facts, []byte, error) {
	body, status, err := get(ctx, c.cfg.HTTP, node+"/v1/evidence?"+q.Values().Encode(), MaxEvidence)
	if err != nil {
		return nil, nil, err
	}
	switch status {
	case http.StatusOK:
	case http.StatusRequestEntityTooLarge:
		return nil, nil, errTooMuch
	default:
		return nil, nil, fmt.Errorf("registry node answered %d", status)
	}
	f, err := c.check(ctx, body)
	switch {
	case err != nil:
		return nil, nil, err
	case f.Head().Height < c.floor.Load() && q.Height == 0:
		return nil, nil, errBehind
	case !q.answered(f): // true proofs of something else: they must not push out what is known
		return nil, nil, errors.New("registry node answered another question")
	}
	return f, body, nil
}

// with adds what q asks for; more is false when all of it is there already.
func (q Query) with(add Query) (out Query, more bool) {
	out = Query{DID: q.DID, Status: q.Status || add.Status}
	more = out.Status != q.Status
	merge := func(have, add []string) []string {
		have = slices.Clone(have)
		for _, a := range add {
			if !slices.Contains(have, a) {
				have, more = append(have, a), true
			}
		}
		return have
	}
	out.Keys, out.Types = merge(q.Keys, add.Keys), merge(q.Types, add.Types)
	out.Purposes, out.Metadata = merge(q.Purposes, add.Purposes), merge(q.Metadata, add.Metadata)
	return out, more
}

func (q Query) size() int { return len(q.Keys) + len(q.Types) + len(q.Purposes) + len(q.Metadata) }

// answered reports whether facts show the newest of everything asked for, or its absence. Questions about the past are not
// looked at, but for an entry of a list: their facts say themselves what they do not hold.
func (q Query) answered(facts *evidence.Facts) bool {
	if q.List != "" { // another node may have it, or not have bent it
		ref := statuslist.Reference{URI: q.List, Index: q.Entry}
		_, err := entry.At(facts, q.DID, ref, evidence.Moment{At: q.At, Known: q.Known})
		return err == nil || errors.Is(err, registry.ErrNotFound)
	}
	if !q.At.IsZero() || !q.Known.IsZero() || q.Height > 0 {
		return true
	}
	var families []registry.Family
	for _, id := range q.Keys {
		families = append(families, registry.KeyFamily(q.DID, id))
	}
	for _, vct := range q.Types {
		families = append(families, registry.AccreditationFamily(q.DID, vct, 1))
	}
	for _, p := range q.Purposes {
		families = append(families, registry.RegistrationFamily(q.DID, p))
	}
	for _, vct := range q.Metadata {
		families = append(families, registry.TypeFamily(vct))
	}
	if q.Status {
		families = append(families, registry.StatusFamily(q.DID))
	}
	keys := q.Leaves
	for _, f := range families {
		keys = append(keys[:len(keys):len(keys)], f.Latest())
	}
	return !slices.ContainsFunc(keys, func(key []byte) bool {
		_, err := facts.Get(key)
		return errors.Is(err, registry.ErrUnavailable)
	})
}

// found keeps what facts show to exist.
func (q Query) found(facts *evidence.Facts) Query {
	if facts == nil {
		return Query{DID: q.DID, Status: q.Status}
	}
	absent := func(key []byte) bool {
		_, err := facts.Get(key)
		return err != nil
	}
	q.Keys = slices.DeleteFunc(slices.Clone(q.Keys), func(id string) bool { return absent(registry.KeyFamily(q.DID, id).Latest()) })
	q.Types = slices.DeleteFunc(slices.Clone(q.Types), func(vct string) bool {
		return absent(registry.AccreditationFamily(q.DID, vct, 1).Latest())
	})
	q.Purposes = slices.DeleteFunc(slices.Clone(q.Purposes), func(p string) bool {
		return absent(registry.RegistrationFamily(q.DID, p).Latest())
	})
	return q
}
