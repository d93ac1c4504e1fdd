package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/registry"
)

// A shop is a verifier of its own beside the demo's: its keys, its DID on the demo's chain, and no scruples. It asks what it
// likes under its registration, if it has any, and keeps whatever arrives.
type shop struct {
	r      *running
	name   string
	did    registry.DID
	signer keys.Signer
	key    *keys.EncryptionKey
	origin string

	query string // DCQL of the next request
	nonce string // of the next request; one that somebody else drew, perhaps

	mu    sync.Mutex
	posts []string // presentations and errors as they arrived
}

const (
	residentVCT = "urn:dojang:kr:resident-id:1"
	youthVCT    = "urn:dojang:kr:youth-eligibility:1"
	shopKey     = "auth-1"
	purpose     = "SHOPPING"
)

// ask for claims of a type by DCQL; the credential's query id is "resident" for every type.
func dcql(vct string, claims ...string) string {
	var paths []any
	for _, c := range claims {
		paths = append(paths, map[string]any{"path": []string{c}})
	}
	b, _ := json.Marshal(map[string]any{"credentials": []any{map[string]any{ // strings only
		"id": "resident", "format": "dc+sd-jwt", "meta": map[string]any{"vct_values": []string{vct}}, "claims": paths,
	}}})
	return string(b)
}

// open founds a shop: DID on the chain, and a registration when claims are given.
func (r *running) open(name string, claims map[string][]string, basis ...string) *shop {
	r.t.Helper()
	s := &shop{r: r, name: name, nonce: "nonce-of-" + strings.ToLower(name) + "-1", signer: must(keys.Generate(keys.ES256))(r.t), key: must(keys.NewEphemeral("k1"))(r.t)}
	op, next, recovery := s.control(), s.control(), s.control()
	public := must(registry.NewPublicKey(s.signer.Public().Crypto()))(r.t)
	create := registry.Operation{Network: "demo", ChainID: "dojang-demo-1", Body: &registry.CreateBody{
		Op: op.Public, Next: next.Public.Hash(), Recovery: recovery.Public.Hash(),
		Keys: []registry.NewKey{{ID: shopKey, Use: registry.UseAuthentication, Key: public}},
	}}
	s.did = must(create.CreatedDID())(r.t)
	r.submit(must(create.Sign(op))(r.t))
	if claims != nil {
		text := map[string]string{"ko": name, "en": name}
		r.govern(registry.Operation{Network: "demo", ChainID: "dojang-demo-1", DID: s.did, Body: &registry.RegisterBody{
			Purpose: purpose, Name: text, Text: text, Claims: claims, Basis: basis, Retention: 1, From: time.Now().Unix() - 60,
		}})
	}
	server := httptest.NewServer(s)
	r.t.Cleanup(server.Close)
	s.origin = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return s
}

func (s *shop) control() registry.SigningKey {
	k := must(keys.Generate(keys.EdDSA))(s.r.t)
	return registry.SigningKey{Role: registry.RoleOp, Public: must(registry.NewPublicKey(k.Public().Crypto()))(s.r.t), Signer: k}
}

func (s *shop) clientID() string { return "decentralized_identifier:" + string(s.did) }

// data is a data directory for the wallet in which this shop stands where the demo's verifier stood: plain http is
// accepted from exact origins only.
func (s *shop) data() string {
	s.r.t.Helper()
	d := s.r.describe()
	d["verifier"] = map[string]any{"url": s.origin, "management_url": s.origin, "token": "none"}
	dir := s.r.t.TempDir()
	for name, b := range map[string][]byte{
		"demo.json":  must(json.Marshal(d))(s.r.t),
		"trust.json": must(os.ReadFile(filepath.Join(s.r.data, "trust.json")))(s.r.t),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			s.r.t.Fatal(err)
		}
	}
	return dir
}

// show lets a wallet answer this shop's request with a yes; it returns the exit code and what the wallet printed.
func (s *shop) show(t *testing.T, wallet, query string) (int, string) {
	t.Helper()
	s.query = query
	link := must(oid4vp.Link{ClientID: s.clientID(), RequestURI: s.origin + "/request"}.URL(oid4vp.LinkScheme))(t)
	return exitCode(t, "wallet", "present", "--data", s.data(), "--wallet", wallet, "--yes", link)
}

// heard is what arrived since the last call.
func (s *shop) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.posts
	s.posts = nil
	return out
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.URL.Path {
	case "/request":
		object, err := s.object()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", oid4vp.RequestMediaType)
		_, _ = io.WriteString(w, object)
	case "/response":
		s.take(r)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	default:
		s.posts = append(s.posts, r.URL.Path)
		http.NotFound(w, r)
	}
}

func (s *shop) object() (string, error) {
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"client_id": s.clientID(), "response_type": "vp_token", "response_mode": oid4vp.ModeDirectPostJWT, "response_uri": s.origin + "/response",
		"nonce": s.nonce, "state": "state-1", "aud": oid4vp.AudienceStatic, "iat": now.Unix(), "exp": now.Add(3 * time.Minute).Unix(),
		"dcql_query": json.RawMessage(s.query),
		"client_metadata": map[string]any{
			"jwks": map[string]any{"keys": []any{json.RawMessage(s.key.JWK())}}, "encrypted_response_enc_values_supported": []string{"A256GCM"},
			"vp_formats_supported": map[string]any{"dc+sd-jwt": map[string]any{}},
		},
		"verifier_info": []any{map[string]any{"format": "dojang_registration", "data": map[string]any{"kid": s.did.URL(shopKey), "purpose": purpose}}},
	})
	if err != nil {
		return "", err
	}
	return keys.SignJWS(s.signer, keys.Header{Typ: keys.TypRequestObject, Kid: s.did.URL(shopKey)}, payload)
}

// take opens an answer; one that cannot be opened is kept as well: something arrived.
func (s *shop) take(r *http.Request) {
	var query oid4vp.Query
	form, err := oauth.ParseForm(r, oid4vp.ResponseLimits())
	if err == nil {
		err = json.Unmarshal([]byte(s.query), &query)
	}
	var a oid4vp.Response
	if err == nil {
		a, err = oid4vp.DecodeResponse(form, oid4vp.ResponseExpect{Mode: oid4vp.ModeDirectPostJWT, Key: s.key, Encs: []string{"A256GCM"}, Query: query})
	}
	switch {
	case err != nil:
		s.posts = append(s.posts, "unreadable: "+err.Error())
	case a.Error != nil:
		s.posts = append(s.posts, "error: "+string(a.Error.Code))
	}
	for _, list := range a.VPToken {
		for _, v := range list {
			if text, ok := oid4vp.PresentationString(v); ok {
				s.posts = append(s.posts, text)
			}
		}
	}
}
