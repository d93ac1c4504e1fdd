package holder_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"crypto/rand"
	"crypto/sha256"
	"errors"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// agency is an issuer that does as it is told, good or bad.
type agency struct {
	organisation
	w      *world
	origin string
	url    string // credential issuer
	list   *statuslist.List
	uri    string // of the list

	mu      sync.Mutex
	vct     string
	claims  map[string]any
	index   uint64
	nonces  int
	seen    []string                                      // "METHOD path" of every request
	headers map[string]http.Header                        // of the newest request of each path
	notices []string                                      // events that were notified
	proofs  [][]string                                    // of every credential request
	bend    func(n int, c *sdjwt.Credential)              // before a copy is signed
	sign    func(n int, p *sdjwt.Prepared) string         // instead of signing
	answer  func(r *oid4vci.CredentialResponse)           // before it is sent
	meta    func(m map[string]any)                        // credential issuer metadata
	as      func(m map[string]any)                        // authorization server metadata
	instead map[string]http.HandlerFunc                   // path -> another handler
	grant   func(g *oid4vci.PreAuthorizedCodeGrant)       // of offers
	txCode  string                                        // demanded when not ""
	dpop    bool                                          // offered
	wallet  func(h *keys.Header) (*keys.PublicKey, error) // demands attestations when set
}

func newAgency(w *world, id string) *agency {
	a := &agency{
		w: w, organisation: newOrganisation(w.t, id, registry.UseAssertion, w.facts), vct: residentID, instead: map[string]http.HandlerFunc{},
		headers: map[string]http.Header{}, claims: specimen(w.t, "resident-id/specimens/valid-han-gaon.json"),
		list: must(statuslist.NewList(2, 8192))(w.t), // two chunks
	}
	a.origin = serve(w.t, a)
	a.url, a.uri = a.origin+"/gaon", "https://status.example/"+a.did.ID()+"/1"
	digest := sha256.Sum256(a.root)
	for _, t := range schemas.All() {
		w.facts.accreditation[string(a.did)+t.VCT] = registry.Accreditation{
			DID: a.did, Type: t.VCT, Roots: [][]byte{digest[:]}, StatusHost: "https://status.example", From: start.Add(-time.Hour),
		}
	}
	a.publish()
	return a
}

// specimen reads the claims of an invented person.
func specimen(t *testing.T, path string) map[string]any {
	t.Helper()
	raw := must(os.ReadFile(filepath.Join("..", "..", "schemas", path)))(t)
	var s struct {
		Claims map[string]any `json:"claims"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s.Claims
}

// publish anchors the list as it is now.
func (a *agency) publish() {
	a.w.t.Helper()
	now := a.w.now()
	p := must(statuslist.NewPublisher(a.list.Values()))(a.w.t)
	s := must(p.Snapshot())(a.w.t)
	token := must(statuslist.SignJWT(a.signer, keys.Header{Kid: a.organisation.url(), X5C: a.chain}, statuslist.Claims{
		URI: a.uri, IssuedAt: now, ExpiresAt: now.Add(24 * time.Hour), TTL: time.Hour, Bits: s.Bits, Compressed: s.Compressed,
	}))(a.w.t)
	record := must(statuslist.Record{
		URI: a.uri, Bits: s.Bits, Length: s.Length, Root: s.Root, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)},
	}.Marshal())(a.w.t)
	other := must(statuslist.Record{URI: a.uri + "0", Bits: s.Bits, Length: s.Length, Root: s.Root}.Marshal())(a.w.t)
	records := [][]byte{other, record}
	a.w.facts.change(func() {
		e := a.w.facts.epochs[a.did]
		a.w.facts.epochs[a.did] = registry.StatusEpoch{
			Issuer: a.did, Sequence: e.Sequence + 1, IssuedAt: now, NextUpdate: now.Add(24 * time.Hour), Root: statuslist.EpochRoot(records), Signer: a.organisation.url(),
		}
		a.w.facts.lists[a.uri] = registry.StatusList{
			URI: a.uri, Token: token, Record: record, Index: 1, Size: 2, Path: must(statuslist.ProveRecord(records, 1))(a.w.t),
		}
	})
}

// offer is a link by reference.
func (a *agency) offer() string {
	return must(oid4vci.OfferLink{URI: a.url + "/offer"}.URL(oid4vci.OfferScheme))(a.w.t)
}

// offerByValue is the same offer in the link itself.
func (a *agency) offerByValue() string {
	o := a.offered()
	return must(oid4vci.OfferLink{Offer: &o}.URL("https://wallet.example/offer"))(a.w.t)
}

func (a *agency) offered() oid4vci.Offer {
	g := &oid4vci.PreAuthorizedCodeGrant{PreAuthorizedCode: "code-1"}
	if a.txCode != "" {
		g.TxCode = &oid4vci.TxCode{InputMode: "numeric", Length: len(a.txCode), Description: "문자로 보냈습니다\x1b[2J\u202e"}
	}
	if a.grant != nil {
		a.grant(g)
	}
	return oid4vci.Offer{CredentialIssuer: a.url, CredentialConfigurationIDs: []string{"document"}, Grants: oid4vci.Grants{PreAuthorizedCode: g}}
}

func (a *agency) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r.Method+" "+r.URL.Path)
	a.headers[r.URL.Path] = r.Header.Clone()
	if h, ok := a.instead[r.URL.Path]; ok {
		h(w, r)
		return
	}
	switch r.URL.Path {
	case "/gaon/offer":
		writeJSON(w, a.offered())
	case "/.well-known/openid-credential-issuer/gaon":
		writeJSON(w, a.metadata())
	case "/.well-known/oauth-authorization-server/gaon":
		writeJSON(w, a.server())
	case "/gaon/challenge":
		writeJSON(w, map[string]string{"attestation_challenge": "challenge-1"})
	case "/gaon/nonce":
		a.nonces++
		writeJSON(w, oid4vci.NonceResponse{CNonce: "nonce-" + strconv.Itoa(a.nonces)})
	case "/gaon/token":
		a.token(w, r)
	case "/gaon/credential":
		a.credential(w, r)
	case "/gaon/notification":
		a.notification(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *agency) metadata() map[string]any {
	m := map[string]any{
		"credential_issuer": a.url, "credential_endpoint": a.url + "/credential", "nonce_endpoint": a.url + "/nonce",
		"notification_endpoint": a.url + "/notification", "batch_credential_issuance": map[string]any{"batch_size": 3},
		"display": []any{map[string]any{"name": "가온구청", "locale": "ko-KR"}, map[string]any{"name": "Gaon\x1b[31m-gu\u202e", "locale": "en-US"}},
		"credential_configurations_supported": map[string]any{"document": map[string]any{
			"format": "dc+sd-jwt", "vct": a.vct, "cryptographic_binding_methods_supported": []any{"jwk"},
			"proof_types_supported": map[string]any{"jwt": map[string]any{"proof_signing_alg_values_supported": []any{"ES256"}}},
		}},
	}
	if a.meta != nil {
		a.meta(m)
	}
	return m
}

func (a *agency) server() map[string]any {
	m := map[string]any{"issuer": a.url, "token_endpoint": a.url + "/token", "challenge_endpoint": a.url + "/challenge"}
	if a.dpop {
		m["dpop_signing_alg_values_supported"] = []string{"ES256"}
	}
	if a.as != nil {
		a.as(m)
	}
	return m
}

func (a *agency) token(w http.ResponseWriter, r *http.Request) {
	f, err := oauth.ParseForm(r, oauth.FormLimits{})
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	t, err := oid4vci.ParseTokenRequest(f, oauth.GrantPreAuthorizedCode)
	if err == nil {
		err = t.CheckTxCode(a.txCode != "")
	}
	if err == nil && (t.PreAuthorizedCode != "code-1" || t.TxCode != a.txCode) {
		err = oauth.NewError(oauth.InvalidGrant, "")
	}
	if err == nil && a.wallet != nil {
		_, err = oauth.VerifyAttestation(r.Header, oauth.AttestationExpect{
			Audience: a.url, Now: a.w.now(), TrustedKey: a.wallet, FirstUse: always,
			CheckChallenge: func(c string) error {
				if c != "challenge-1" {
					return errors.New("not ours")
				}
				return nil
			},
		})
	}
	answer := map[string]any{"access_token": "access-1", "token_type": "Bearer", "expires_in": 300}
	if err == nil && r.Header.Get("DPoP") != "" {
		_, err = oauth.VerifyDPoP(r.Header, a.proven("POST", a.url+"/token"))
		answer["token_type"] = "DPoP"
	}
	if err != nil {
		w.Header().Set("DPoP-Nonce", "dpop-nonce-1")
		oauth.WriteError(w, err)
		return
	}
	writeJSON(w, answer)
}

func (a *agency) proven(method, url string) oauth.DPoPExpect {
	return oauth.DPoPExpect{Method: method, URL: url, Now: a.w.now(), FirstUse: always, CheckNonce: func(n string) error {
		if n != "dpop-nonce-1" {
			return errors.New("not ours")
		}
		return nil
	}}
}

func always(string, time.Time) (bool, error) { return true, nil }

func (a *agency) authorized(w http.ResponseWriter, r *http.Request, url string) bool {
	token, err := oauth.ParseAccessToken(r)
	if err == nil && (token.Token != "access-1" || (token.Scheme == oauth.SchemeDPoP) != a.dpop) {
		err = oauth.NewError(oauth.InvalidToken, "")
	}
	if err == nil && a.dpop {
		e := a.proven("POST", url)
		e.AccessToken = token.Token
		_, err = oauth.VerifyDPoP(r.Header, e)
	}
	if err != nil {
		oauth.WriteResourceError(w, err, oauth.SchemeBearer)
	}
	return err == nil
}

func (a *agency) credential(w http.ResponseWriter, r *http.Request) {
	if !a.authorized(w, r, a.url+"/credential") {
		return
	}
	q, err := oid4vci.ReadCredentialRequest(r, oid4vci.RequestLimits{BatchSize: 10})
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	a.proofs = append(a.proofs, q.Proofs.JWT)
	e := oid4vci.Expect{Audience: a.url, Now: a.w.now()}
	if a.wallet != nil {
		e.ClientID = "dojang-wallet"
	}
	proofs, err := oid4vci.VerifyProofs(q.Proofs.JWT, e)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	out := oid4vci.CredentialResponse{NotificationID: "notice-1"}
	for n, p := range proofs {
		if p.Nonce != "nonce-"+strconv.Itoa(a.nonces) {
			oauth.WriteError(w, oauth.NewError(oauth.InvalidNonce, ""))
			return
		}
		out.Credentials = append(out.Credentials, oid4vci.StringCredential(a.copyFor(n, p.Key)))
	}
	if a.answer != nil {
		a.answer(&out)
	}
	writeJSON(w, out)
}

func (a *agency) copyFor(n int, key *keys.PublicKey) string {
	a.index += 1500 // over both chunks
	raw := must(json.Marshal(a.claims))(a.w.t)
	c := sdjwt.Credential{
		Alg: keys.ES256, Kid: a.organisation.url(), X5C: a.chain, Issuer: string(a.did), VCT: a.vct,
		IssuedAt: start.Truncate(24 * time.Hour), NotBefore: start.Truncate(24 * time.Hour), Expires: start.Truncate(24 * time.Hour).Add(60 * 24 * time.Hour),
		Holder: key, Status: &sdjwt.StatusRef{URI: a.uri, Index: a.index % 8192},
		Claims: must(sdjwt.ParseClaims(raw, concealed(a.vct, a.claims)))(a.w.t),
	}
	if a.bend != nil {
		a.bend(n, &c)
	}
	p := must(sdjwt.Prepare(c, rand.Reader))(a.w.t)
	if a.sign != nil {
		return a.sign(n, p)
	}
	return must(p.Sign(a.signer))(a.w.t)
}

// concealed are the paths of a record that the type wants disclosable.
func concealed(vct string, claims map[string]any) (paths []sdjwt.Path) {
	t, _ := schemas.Lookup(vct)
	var visit func(path sdjwt.Path, v any)
	visit = func(path sdjwt.Path, v any) {
		if len(path) > 0 && t.Disclosable(schemas.FormatPath(path)) {
			paths = append(paths, path)
		}
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				visit(append(path[:len(path):len(path)], name), inner)
			}
		case []any:
			for i, inner := range v {
				visit(append(path[:len(path):len(path)], i), inner)
			}
		}
	}
	visit(nil, claims)
	return paths
}

func (a *agency) notification(w http.ResponseWriter, r *http.Request) {
	if !a.authorized(w, r, a.url+"/notification") {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	n, err := oid4vci.DecodeNotification(body)
	if err != nil || n.NotificationID != "notice-1" {
		oauth.WriteError(w, oauth.NewError(oauth.InvalidRequest, ""))
		return
	}
	a.notices = append(a.notices, n.Event)
	w.WriteHeader(http.StatusNoContent)
}

// requests counts requests to a path.
func (a *agency) requests(path string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.seen {
		if s == "POST "+path || s == "GET "+path {
			n++
		}
	}
	return n
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	raw, err := jsonMarshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(raw)
}
