package registrytest

import (
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
)

func TestStart(t *testing.T) {
	began := time.Now()
	r := Start(t, Options{})
	key := NewKey(t, "")
	c := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}, nil)
	const vct = "urn:dojang:kr:resident-id:1"
	r.Accredit(t, c.DID, vct, registry.AccreditBody{})
	t.Log("DID and accreditation provable after", time.Since(began))

	got, checked, err := r.Client.Key(t.Context(), c.DID, "issue-1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Use != registry.UseAssertion || !got.InForce(time.Now()) || checked.Height == 0 || time.Since(checked.KnownAt) > 5*time.Second {
		t.Fatalf("key %+v known %+v", got, checked)
	}
	if _, _, err := r.Client.Key(t.Context(), c.DID, "issue-2", time.Time{}); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("absent key: %v", err)
	}
	a, _, err := r.Client.Accreditation(t.Context(), c.DID, vct, time.Time{})
	if err != nil || !a.InForce(time.Now()) || a.StatusHost != r.StatusURL {
		t.Fatalf("accreditation %+v: %v", a, err)
	}
	r.Down()
	if _, _, err := r.Client.Key(t.Context(), c.DID, "issue-1", time.Time{}); err != nil {
		t.Fatalf("a checked key is gone with the nodes: %v", err)
	}
	other := registry.DID("did:dojang:local:QmNobody")
	if _, _, err := r.Client.Key(t.Context(), other, "issue-1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
		t.Fatalf("unknown DID without nodes: %v", err)
	}
}
