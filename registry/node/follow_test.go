package node

import (
	"context"
	"crypto/sha256"
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
	token                []byte            // of every list, where tokens has none
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
	if token == nil {
		token = o.token
	}
	return token, nil
}

// TestFollowerRaisesConflicts: an epoch below the stored one, and another content under the same number, are refused and raised,
// and the stored list is still served.
func TestFollowerRaisesConflicts(t *testing.T) {
	const issuer = registry.DID("did:dojang:local:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF1")
	const uri = "https://status.example/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF1/3"
	epoch := func(sequence uint64, token string) (registry.StatusEpoch, [][]byte) {
		record, err := statuslist.Record{URI: uri, Bits: 2, Length: 1024, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256([]byte(token))}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		return registry.StatusEpoch{Issuer: issuer, Sequence: sequence, IssuedAt: now, NextUpdate: now.Add(time.Hour),
			Root: statuslist.EpochRoot([][]byte{record})}, [][]byte{record}
	}
	store, err := OpenStatusStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	current, records := epoch(2, "current")
	if err := store.Put(t.Context(), current, offer{records: records, token: []byte("current")}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		sequence uint64
	}{{"an epoch that goes back", 1}, {"another content under the same number", 2}} {
		t.Run(c.name, func(t *testing.T) {
			shown, bent := epoch(c.sequence, "bent")
			var raised []error
			asked := 0
			f := newFollower(followerConfig{Store: store, Epoch: func(registry.DID) (registry.StatusEpoch, error) { return shown, nil },
				Endpoint: func(registry.DID) (string, error) { return "https://issuer.example", nil }, Peers: []string{"https://peer.example"},
				Fetch: func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
					if asked++; strings.HasSuffix(url, "/records") {
						return registry.Encode(bent)
					}
					return []byte("bent"), nil
				},
				Conflict: func(_ registry.DID, err error) { raised = append(raised, err) }, Log: slog.New(slog.DiscardHandler)})
			defer f.stop()
			if err := f.bring(issuer); !errors.Is(err, ErrRollback) {
				t.Fatalf("taken: %v", err)
			}
			if len(raised) != 1 || !errors.Is(raised[0], ErrRollback) || asked != 1 {
				t.Fatalf("raised %v, asked %d times", raised, asked)
			}
			if l, err := store.List(uri, StatusJWT); err != nil || string(l.Token) != "current" {
				t.Fatalf("served: %q %v", l.Token, err)
			}
		})
	}
}

// TestListsOfOthers: an issuer's records name its own lists, each once. A URI of another issuer would keep that one's lists from
// being served, and two records of one URI would let it show the one and be compared by the other.
func TestListsOfOthers(t *testing.T) {
	const other = registry.DID("did:dojang:local:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF3")
	own, theirs := "https://status.example/"+agency.ID()+"/1", "https://status.example/"+other.ID()+"/1"
	token := []byte("a token")
	offered := func(issuer registry.DID, sequence uint64, uris ...string) (registry.StatusEpoch, offer) {
		o := offer{token: token}
		for i, uri := range uris {
			record, err := statuslist.Record{URI: uri, Bits: 2, Length: 1024 * uint64(i+1), Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			o.records = append(o.records, record)
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
