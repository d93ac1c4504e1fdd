package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

const (
	agency   = registry.DID("did:dojang:local:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF1")
	operator = registry.DID("did:dojang:local:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF2")
)

// states of a list of 64 entries, by index; the rest is valid.
type states map[uint64]statuslist.Status

// A press publishes an agency's lists and those of its second status operator.
type press struct {
	t      *testing.T
	key    keys.Signer
	last   registry.StatusEpoch // by the agency
	lasted offer
	begin  time.Time
	issuer registry.DID
	length uint64 // of the lists; 0: 64
}

func newPress(t *testing.T) *press {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return &press{t: t, key: key, issuer: agency, begin: time.Now().UTC().Truncate(time.Second)}
}

// list of entries of 2 bits: its record, and the token.
func (p *press) list(uri string, raw []byte, issued time.Time) (record, token []byte) {
	p.t.Helper()
	values, err := statuslist.NewValues(2, raw)
	compressed, cerr := statuslist.Deflate(raw)
	token, serr := statuslist.SignJWT(p.key, keys.Header{Kid: "k"}, statuslist.Claims{URI: uri, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour),
		TTL: time.Minute, Bits: 2, Compressed: compressed})
	record, rerr := statuslist.Record{URI: uri, Bits: 2, Length: values.Len(), Root: values.Root(), Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal()
	if err := errors.Join(err, cerr, serr, rerr); err != nil {
		p.t.Fatal(err)
	}
	return record, token
}

func (p *press) epoch(sequence uint64, byOperator bool, lists ...states) (registry.StatusEpoch, offer) {
	p.t.Helper()
	o := offer{tokens: map[string][]byte{}}
	issued := p.begin.Add(time.Duration(sequence) * time.Second)
	for n, s := range lists {
		list, err := statuslist.NewList(2, max(64, p.length))
		for idx, v := range s {
			err = errors.Join(err, list.Set(idx, v))
		}
		if err != nil {
			p.t.Fatal(err)
		}
		uri := "https://status.example/" + p.issuer.ID() + "/" + string(rune('1'+n))
		record, token := p.list(uri, list.Values().Raw(), issued)
		o.records, o.tokens[uri] = append(o.records, record), token
	}
	e := registry.StatusEpoch{Issuer: p.issuer, Sequence: sequence, IssuedAt: issued, NextUpdate: issued.Add(time.Hour), Root: statuslist.EpochRoot(o.records), Signer: p.issuer.URL("k")}
	if byOperator {
		e.Signer, e.Base = operator.URL("st"), registry.EpochBase{Sequence: p.last.Sequence, IssuedAt: p.last.IssuedAt, Root: p.last.Root, Signer: p.last.Signer}
		o.baseRecords, o.baseTokens = p.lasted.records, p.lasted.tokens
		return e, o
	}
	p.last, p.lasted = e, o
	return e, o
}

// TestOperatorsLists: a node takes from a second status operator what is re-dated or worse, and nothing else; from the issuer all
// but a revocation taken back. What is refused changes nothing.
func TestOperatorsLists(t *testing.T) {
	const valid, revoked, suspended, renewal = statuslist.Valid, statuslist.Revoked, statuslist.Suspended, statuslist.NeedsRenewal
	first := []states{{3: suspended, 4: revoked, 5: renewal}, {9: revoked}}
	type step struct {
		operator bool
		lists    []states
		refused  bool
	}
	by := func(lists ...states) step { return step{operator: true, lists: lists} }
	not := func(s step) step { s.refused = true; return s }
	for _, tc := range []struct {
		name  string
		steps []step // after first, by the issuer
	}{
		{"re-dated", []step{by(first...), by(first...)}},
		{"one entry worse", []step{by(states{3: revoked, 4: revoked, 5: renewal}, first[1])}},
		{"one of every kind worse", []step{by(states{2: suspended, 3: revoked, 4: revoked, 5: suspended}, states{0: renewal, 9: revoked})}},
		{"suspended is lifted", []step{not(by(states{4: revoked, 5: renewal}, first[1]))}},
		{"renewal is lifted", []step{not(by(states{3: suspended, 4: revoked}, first[1]))}},
		{"revoked is lifted in the second list", []step{not(by(first[0], states{}))}},
		{"revoked becomes suspended", []step{not(by(first[0], states{9: suspended}))}},
		{"one worse hides one better", []step{not(by(states{1: revoked, 3: suspended, 5: renewal}, first[1]))}},
		{"a list is left out", []step{not(by(first[0]))}},
		{"a list is added", []step{not(by(first[0], first[1], states{}))}},
		{"lists change places", []step{not(by(first[1], first[0]))}},
		{"its own word is taken back", []step{by(states{3: revoked, 4: revoked, 5: renewal}, first[1]), not(by(first...))}},
		{"the issuer lifts a suspension", []step{{lists: []states{{4: revoked}, first[1]}}}},
		{"the issuer leaves a list out, to bring it back without its revocation", []step{{lists: []states{first[0]}, refused: true}}},
		{"the issuer takes a revocation back", []step{{lists: []states{first[0], {}}, refused: true}}},
		{"the issuer forgets what its operator revoked", []step{by(states{3: revoked, 4: revoked, 5: renewal}, first[1]), {lists: first, refused: true}}},
		{"the issuer takes over and goes on", []step{by(states{3: revoked, 4: revoked, 5: renewal}, first[1]), {lists: []states{{3: revoked, 4: revoked}, {9: revoked, 10: suspended}}},
			by(states{3: revoked, 4: revoked}, states{9: revoked, 10: suspended}), not(by(states{3: revoked, 4: revoked}, states{9: revoked}))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, p := t.TempDir(), newPress(t)
			store, err := OpenStatusStore(dir)
			if err != nil {
				t.Fatal(err)
			}
			epoch, o := p.epoch(1, false, first...)
			if err := store.Put(t.Context(), epoch, o); err != nil {
				t.Fatal(err)
			}
			var raised []error
			f := newFollower(followerConfig{Store: store, Endpoint: func(registry.DID) (string, error) { return "https://operator.example", nil },
				Epoch:    func(registry.DID) (registry.StatusEpoch, error) { return epoch, nil },
				Fetch:    func(_ context.Context, url, _ string, _ int64) ([]byte, error) { return o.serve(url) },
				Conflict: func(_ registry.DID, err error) { raised = append(raised, err) }, Log: slog.New(slog.DiscardHandler)})
			defer f.stop()
			for i, s := range tc.steps {
				have, _ := store.Epoch(agency)
				before := p.last
				beforeOffer := p.lasted
				epoch, o = p.epoch(have.Sequence+1, s.operator, s.lists...)
				err := f.bring(agency)
				now, _ := store.Epoch(agency)
				if s.refused {
					if !errors.Is(err, ErrRollback) || len(raised) != 1 || now != have {
						t.Fatalf("step %d: %v, raised %v, served %+v", i, err, raised, now)
					}
					p.last, p.lasted = before, beforeOffer
					continue
				}
				if err != nil || len(raised) != 0 || now != epoch {
					t.Fatalf("step %d: %v, raised %v, served %+v", i, err, raised, now)
				}
			}
			// What is served holds against the epoch for a reader, after a restart too.
			again, err := OpenStatusStore(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []*StatusStore{store, again} {
				for _, uri := range s.URIs() {
					have, _ := s.Epoch(agency)
					l, err := s.List(uri, StatusJWT)
					if err != nil || have.Redated() != (l.Base != nil) {
						t.Fatalf("%+v %v", l, err)
					}
					record, err := statuslist.VerifyRecord(have.Root, statuslist.RecordProof{Record: l.Record, Path: l.Path, Index: l.Index, Size: l.Size})
					if err == nil && l.Base != nil {
						err = statuslist.Redated{MediaType: StatusJWT, Record: record, Token: l.Token, BaseRoot: have.Base.Root, BaseToken: l.Base.Token,
							Base: statuslist.RecordProof{Record: l.Base.Record, Path: l.Base.Path, Index: l.Base.Index, Size: l.Base.Size}}.Check()
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// serve is the publisher's protocol over an offer.
func (o offer) serve(url string) ([]byte, error) {
	dir, name := filepath.Split(url)
	records, tokens := o.records, o.tokens
	if strings.HasSuffix(dir, "/base/") {
		records, tokens = o.baseRecords, o.baseTokens
	}
	if name == "records" {
		return registry.Encode(records)
	}
	for uri, token := range tokens {
		if strings.HasSuffix(uri, "/"+name) {
			return token, nil
		}
	}
	return nil, os.ErrNotExist
}

// TestJoinerOfAnOperatorsEpoch: a node that was not there when the issuer lived takes the base with the operator's lists, and
// compares all the same.
func TestJoinerOfAnOperatorsEpoch(t *testing.T) {
	p := newPress(t)
	p.epoch(1, false, states{4: statuslist.Revoked})
	good, goodOffer := p.epoch(2, true, states{4: statuslist.Revoked, 5: statuslist.Suspended})
	bad, badOffer := p.epoch(3, true, states{})
	open := func() *StatusStore {
		s, err := OpenStatusStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := open().Put(t.Context(), bad, badOffer); !errors.Is(err, ErrRollback) {
		t.Errorf("taken: %v", err)
	}
	without := goodOffer
	without.baseRecords = nil
	if err := open().Put(t.Context(), good, without); !errors.Is(err, statuslist.ErrProof) {
		t.Errorf("taken without a base: %v", err)
	}
	other := goodOffer
	other.baseRecords = goodOffer.records // what the operator says that the issuer said
	if err := open().Put(t.Context(), good, other); !errors.Is(err, statuslist.ErrProof) {
		t.Errorf("taken with another base: %v", err)
	}
	s := open()
	if err := s.Put(t.Context(), good, goodOffer); err != nil {
		t.Fatal(err)
	}
	if records, err := s.Records(agency, true); err != nil || len(records) != 1 {
		t.Errorf("the base is not given on: %v", err)
	}
	if l, err := s.Named(agency, "1", StatusJWT, true); err != nil || string(l.Token) != string(p.lasted.tokens[l.URI]) {
		t.Errorf("the base's list is not given on: %v", err)
	}
}
