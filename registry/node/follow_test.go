package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// An offer is what a publisher would give.
type offer struct {
	records, baseRecords [][]byte
	tokens, baseTokens   map[string][]byte // by URI
}

func (o offer) Records(_ context.Context, base bool) ([][]byte, error) {
	if base {
		return o.baseRecords, nil
	}
	return o.records, nil
}

func (o offer) Token(_ context.Context, uri, _ string, base bool) ([]byte, error) {
	token := o.tokens[uri]
	if base {
		token = o.baseTokens[uri]
	}
	return token, nil
}

// TestFollowerRaisesConflicts: an epoch below the stored one, and another content under the same number, are refused and raised,
// and the stored list is still served.
func TestFollowerRaisesConflicts(t *testing.T) {
	p := newPress(t)
	store, err := OpenStatusStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	current, now := p.epoch(2, false, states{})
	if err := store.Put(t.Context(), current, now); err != nil {
		t.Fatal(err)
	}
	uri := store.URIs()[0]
	for _, c := range []struct {
		name     string
		sequence uint64
	}{{"an epoch that goes back", 1}, {"another content under the same number", 2}} {
		t.Run(c.name, func(t *testing.T) {
			shown, bent := p.epoch(c.sequence, false, states{7: statuslist.Suspended})
			var raised []error
			asked := 0
			f := newFollower(followerConfig{Store: store, Epoch: func(registry.DID) (registry.StatusEpoch, error) { return shown, nil },
				Endpoint: func(registry.DID) (string, error) { return "https://issuer.example", nil }, Peers: []string{"https://peer.example"},
				Fetch: func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
					if asked++; strings.HasSuffix(url, "/records") {
						return registry.Encode(bent.records)
					}
					return bent.tokens[uri], nil
				},
				Conflict: func(_ registry.DID, err error) { raised = append(raised, err) }, Log: slog.New(slog.DiscardHandler)})
			defer f.stop()
			if err := f.bring(agency); !errors.Is(err, ErrRollback) {
				t.Fatalf("taken: %v", err)
			}
			if len(raised) != 1 || !errors.Is(raised[0], ErrRollback) || asked != 1 {
				t.Fatalf("raised %v, asked %d times", raised, asked)
			}
			if l, err := store.List(uri, StatusJWT); err != nil || string(l.Token) != string(now.tokens[uri]) {
				t.Fatalf("served: %v", err)
			}
		})
	}
}

// TestListsOfOthers: an issuer's records name its own lists, each once. A URI of another issuer would keep that one's lists from
// being served, and two records of one URI would let it show the one and be compared by the other.
func TestListsOfOthers(t *testing.T) {
	const other = registry.DID("did:dojang:local:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF3")
	own, theirs := "https://status.example/"+agency.ID()+"/1", "https://status.example/"+other.ID()+"/1"
	p := newPress(t)
	offered := func(issuer registry.DID, sequence uint64, uris ...string) (registry.StatusEpoch, offer) {
		o := offer{tokens: map[string][]byte{}}
		for i, uri := range uris {
			record, token := p.list(uri, make([]byte, 256*(i+1)), p.begin)
			o.records, o.tokens[uri] = append(o.records, record), token
		}
		now := time.Now()
		return registry.StatusEpoch{Issuer: issuer, Sequence: sequence, IssuedAt: now, NextUpdate: now.Add(time.Hour), Root: statuslist.EpochRoot(o.records)}, o
	}
	for _, tc := range []struct {
		name string
		uris []string
	}{
		{"another issuer's list under a token that is stored already", []string{own, theirs}},
		{"another issuer's list alone", []string{theirs}},
		{"one list twice", []string{own, own}},
		{"no place under the issuer", []string{own, "https://status.example/1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, err := OpenStatusStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			epoch, o := offered(agency, 1, own)
			if err := store.Put(t.Context(), epoch, o); err != nil {
				t.Fatal(err)
			}
			epoch, o = offered(agency, 2, tc.uris...)
			if err := store.Put(t.Context(), epoch, o); !errors.Is(err, statuslist.ErrProof) {
				t.Errorf("taken: %v", err)
			}
			if have, _ := store.Epoch(agency); have.Sequence != 1 {
				t.Errorf("served: %+v", have)
			}
			epoch, o = offered(other, 1, theirs)
			if err := store.Put(t.Context(), epoch, o); err != nil {
				t.Errorf("the other issuer's own list: %v", err)
			}
		})
	}
}
