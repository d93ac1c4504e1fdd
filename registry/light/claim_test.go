package light_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// TestClaimsAreProven: what a node says of a claim counts only with the tag's leaf, a refusal as well.
func TestClaimsAreProven(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	key, claims := registrytest.NewKey(t, ""), registrytest.NewKey(t, registry.RoleClaim)
	did := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}, nil).DID
	r.Accredit(t, did, vct, registry.AccreditBody{})
	key.Role = did.URL("issue-1")
	ref := registry.RoundRef{Programme: "voucher", Round: "2026-2"}
	operation := func(body registry.Body, key registry.SigningKey) []byte {
		raw, err := registry.Operation{Network: r.Trust.Network, ChainID: r.Trust.ChainID, DID: did, Body: body}.Sign(key)
		must(t, err)
		return raw
	}
	r.Submit(t, operation(&registry.RoundOpenBody{RoundRef: ref, Via: registry.AccreditationRef{Type: vct, N: 1}, Key: claims.Public,
		Until: time.Now().Add(time.Hour).Unix()}, key))
	claim := func(tag, office byte) []byte {
		return operation(&registry.ClaimBody{RoundRef: ref, Tag: [32]byte{tag}, Case: [32]byte{office}}, claims)
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want registry.Code
	}{
		{"the first", claim(1, 1), registry.CodeOK},
		{"the same again", claim(1, 1), registry.CodeDuplicate},
		{"another of the same person", claim(1, 2), registry.CodeDuplicateClaim},
		{"another person", claim(2, 2), registry.CodeOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := r.Client.Submit(t.Context(), c.raw)
			if err != nil || out[0].Code != string(c.want) {
				t.Fatalf("%+v %v", out, err)
			}
		})
	}
	for _, c := range []struct {
		name string
		raw  []byte
		lie  registry.Code
	}{
		{"a claim that no block took", claim(3, 1), registry.CodeOK},
		{"a claim that another one has forestalled", claim(1, 3), registry.CodeOK},
		{"a refusal of what nobody claimed", claim(3, 1), registry.CodeDuplicateClaim},
		{"a refusal of what this one claimed itself", claim(1, 1), registry.CodeDuplicateClaim},
	} {
		t.Run("a lie about "+c.name, func(t *testing.T) {
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if q.Method == http.MethodGet {
					proxy(t, r.URL).ServeHTTP(w, q)
					return
				}
				op, err := registry.ParseOperation(c.raw)
				if err != nil {
					t.Error(err)
					return
				}
				out, _ := light.EncodeOutcomes([]registry.Outcome{{Hash: op.Hash[:], Height: 1, Code: string(c.lie)}})
				_, _ = w.Write(out)
			}))
			defer fake.Close()
			lc := client(t, light.Config{Nodes: []string{fake.URL}, Trust: r.Trust})
			if _, err := lc.Submit(t.Context(), c.raw); !errors.Is(err, registry.ErrUntrusted) {
				t.Fatalf("got %v", err)
			}
		})
	}
}
