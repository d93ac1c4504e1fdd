package console

import (
	"crypto/sha256"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// A real validator behind the pages: what was submitted is shown, its Evidence holds, and a stopped node says so.
func TestNode(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	key := registrytest.NewKey(t, "")
	issuer := r.CreateDID(t, []registry.NewKey{{ID: "cred-1", Use: registry.UseAssertion, Key: key.Public}}, nil)
	r.Accredit(t, issuer.DID, "urn:dojang:kr:resident-id:1", registry.AccreditBody{Basis: []string{"KR-RRA-24-2"}})
	bank := r.CreateDID(t, nil, nil)
	r.Register(t, bank.DID, registry.RegisterBody{Purpose: "account-opening", Name: map[string]string{"ko": "한빛은행"}, Text: map[string]string{"ko": "본인 확인"},
		Claims: map[string][]string{"urn:dojang:kr:resident-id:1": {"name"}}, Basis: []string{"x"}, Retention: 30})
	key.Role = issuer.DID.URL("cred-1")
	r.Epoch(t, registry.StatusEpoch{Issuer: issuer.DID, Sequence: 1, IssuedAt: time.Now(), NextUpdate: time.Now().Add(time.Hour), Root: sha256.Sum256(nil)}, key)

	cfg, err := FromNode(r.Node, r.Node)
	if err != nil {
		t.Fatal(err)
	}
	source, err := NewChainSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Source: source, API: r.URL})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/ko/": "서명 중", "/ko/governance": "member-1", "/en/validators": "Signing", "/en/proposals": "signing together", "/en/emergencies": "Nothing recorded", "/en/rounds": "Nothing recorded", "/en/accreditations/" + issuer.DID.ID() + "/urn:dojang:kr:resident-id:1/1": "signed together", "/ko/accreditations": "모바일 주민등록증", "/ko/verifiers": "한빛은행",
		"/ko/dids/" + issuer.DID.ID(): "cred-1", "/en/status": "Fresh", "/en/blocks": "Changes", "/en/blocks/2": "Block 2",
	} {
		if w := get(t, s, path); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, no %q", path, w.Code, want)
		}
	}
	raw := get(t, s, "/evidence/accreditation/"+issuer.DID.ID()+"/urn:dojang:kr:resident-id:1").Body.Bytes()
	facts, err := evidence.Check(raw, r.Trust, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if a, _, err := facts.Accreditation(t.Context(), issuer.DID, "urn:dojang:kr:resident-id:1", time.Time{}); err != nil || !a.InForce(time.Now()) {
		t.Errorf("%+v %v", a, err)
	}
	if w := upload(t, s, "evidence", string(raw)); !strings.Contains(w.Body.String(), "It holds") {
		t.Error("the check of the page refuses it")
	}
	r.Down()
	w := do(t, s, httptest.NewRequest("GET", "/en/accreditations", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "This node is not current") {
		t.Errorf("a stopped node: %d", w.Code)
	}
}
