package oid4vp

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/oauth"
)

func payQuery() Query {
	return Query{Credentials: []CredentialQuery{{ID: "id", Format: FormatSDJWTVC}, {ID: "card", Format: FormatSDJWTVC},
		{ID: "loose", Format: FormatSDJWTVC, RequireHolderBinding: new(bool)}}}
}

func pay(t testing.TB, objects ...string) []TransactionData {
	t.Helper()
	var raw []string
	for _, o := range objects {
		raw = append(raw, EncodeTransactionData([]byte(o)))
	}
	data, err := ParseTransactionData(raw, payQuery(), []string{"pay"})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestParseTransactionDataRefused(t *testing.T) {
	enc := func(s string) []string { return []string{EncodeTransactionData([]byte(s))} }
	tests := []struct {
		name string
		raw  []string
	}{
		{"empty list", []string{}},
		{"nine", strings.Split(strings.Repeat("e30,", 8)+"e30", ",")},
		{"not base64url", []string{"e30="}},
		{"trailing bits", []string{"e31"}},
		{"not JSON", enc("x")},
		{"array", enc(`[]`)},
		{"unknown type", enc(`{"type":"vote","credential_ids":["id"]}`)},
		{"no type", enc(`{"credential_ids":["id"]}`)},
		{"type twice", enc(`{"type":"pay","type":"pay","credential_ids":["id"]}`)},
		{"no credential", enc(`{"type":"pay"}`)},
		{"empty credentials", enc(`{"type":"pay","credential_ids":[]}`)},
		{"unknown credential", enc(`{"type":"pay","credential_ids":["x"]}`)},
		{"credential without holder binding", enc(`{"type":"pay","credential_ids":["loose"]}`)},
		{"no algorithm in common", enc(`{"type":"pay","credential_ids":["id"],"transaction_data_hashes_alg":["md5"]}`)},
		{"empty algorithms", enc(`{"type":"pay","credential_ids":["id"],"transaction_data_hashes_alg":[]}`)},
		{"large", []string{strings.Repeat("A", 16<<10+4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if data, err := ParseTransactionData(tt.raw, payQuery(), []string{"pay"}); oauth.CodeOf(err) != oauth.InvalidTransactionData || data != nil {
				t.Fatalf("%+v, %v", data, err)
			}
		})
	}
}

func TestTransactionHashes(t *testing.T) {
	one := pay(t, `{"type":"pay","credential_ids":["id"],"amount":5}`)
	two := pay(t, `{"type":"pay","credential_ids":["id"],"amount":5}`, `{"type":"pay","credential_ids":["id"],"amount":6}`)
	named := pay(t, `{"type":"pay","credential_ids":["id"],"transaction_data_hashes_alg":["sha-512","sha-384"]}`)
	for name, data := range map[string][]TransactionData{"one": one, "two": two, "named": named} {
		p, err := Hash(data)
		if err != nil || CheckHashes(data, p) != nil || CheckTransactions(data, map[string]HashProof{"id": p}) != nil {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
	}
	good, err := Hash(one)
	if err != nil {
		t.Fatal(err)
	}
	goodNamed, err := Hash(named)
	if err != nil || goodNamed.Alg != "sha-384" || good.Alg != "" {
		t.Fatalf("%+v, %v", goodNamed, err)
	}
	offered := pay(t, `{"type":"pay","credential_ids":["id"],"transaction_data_hashes_alg":["sha-256"]}`)
	decoded := sha256.Sum256(one[0].Object)
	tests := []struct {
		name  string
		data  []TransactionData
		proof HashProof
	}{
		{"D41 hash missing", one, HashProof{}},
		{"D41 one of two missing", two, good},
		{"D41 wrong hash", one, HashProof{Hashes: []string{hashFor(hashSHA256)("x")}}},
		{"D41 algorithm chosen by the wallet", one, HashProof{Hashes: []string{hashFor("sha-512")(one[0].Raw)}, Alg: "sha-512"}},
		{"D41 algorithm outside of the request's list", named, HashProof{Hashes: []string{hashFor(hashSHA256)(named[0].Raw)}, Alg: hashSHA256}},
		{"D41 algorithm not named", named, HashProof{Hashes: goodNamed.Hashes}},
		{"D41 algorithm not named although the request did", offered, HashProof{Hashes: []string{hashFor(hashSHA256)(offered[0].Raw)}}},
		{"D41 algorithm that does not exist here", one, HashProof{Hashes: good.Hashes, Alg: "md5"}},
		{"D41 hash over the decoded bytes", one, HashProof{Hashes: []string{base64.RawURLEncoding.EncodeToString(decoded[:])}}},
		{"D41 hash more than asked for", one, HashProof{Hashes: append([]string{"x"}, good.Hashes...)}},
		{"D41 the same hash twice", two, HashProof{Hashes: append(good.Hashes[:1:1], good.Hashes...)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckHashes(tt.data, tt.proof); !errors.Is(err, ErrTransactionData) {
				t.Fatalf("CheckHashes: %v", err)
			}
			if err := CheckTransactions(tt.data, map[string]HashProof{"id": tt.proof}); !errors.Is(err, ErrTransactionData) {
				t.Fatalf("CheckTransactions: %v", err)
			}
		})
	}
	if err := CheckHashes(nil, good); !errors.Is(err, ErrTransactionData) {
		t.Fatalf("hashes that nobody asked for: %v", err)
	}
}

func TestTransactionsByOneOfSeveral(t *testing.T) {
	data := pay(t, `{"type":"pay","credential_ids":["id","card"],"amount":5}`, `{"type":"pay","credential_ids":["card"],"amount":6}`)
	both, err := Hash(ForQuery(data, "card"))
	if err != nil || len(both.Hashes) != 2 || len(ForQuery(data, "id")) != 1 {
		t.Fatalf("%+v, %v", both, err)
	}
	first := HashProof{Hashes: both.Hashes[:1]}
	second := HashProof{Hashes: both.Hashes[1:]}
	tests := []struct {
		name   string
		proofs map[string]HashProof
		ok     bool
	}{
		{"one authorizes both", map[string]HashProof{"card": both, "id": {}}, true},
		{"each authorizes one", map[string]HashProof{"id": first, "card": second}, true},
		{"authorized twice", map[string]HashProof{"id": first, "card": both}, false},
		{"by a credential that is not named", map[string]HashProof{"id": both}, false},
		{"by nobody", map[string]HashProof{}, false},
		{"half", map[string]HashProof{"id": first}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckTransactions(data, tt.proofs)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrTransactionData) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func FuzzParseTransactionData(f *testing.F) {
	f.Add(EncodeTransactionData([]byte(`{"type":"pay","credential_ids":["id"],"transaction_data_hashes_alg":["sha-256"]}`)))
	f.Fuzz(func(t *testing.T, raw string) {
		data, err := ParseTransactionData([]string{raw}, payQuery(), nil)
		if err != nil {
			return
		}
		p, err := Hash(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckHashes(data, p); err != nil {
			t.Fatal(err)
		}
	})
}
