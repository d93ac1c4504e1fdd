package holder_test

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
)

func jsonMarshal(v any) ([]byte, error) { return json.Marshal(v) }

// shop is a verifier that asks as it is told and judges like an honest one.
type shop struct {
	organisation
	w      *world
	origin string
	key    *keys.EncryptionKey

	mu       sync.Mutex
	clientID string
	method   string                 // of the request_uri
	change   func(r map[string]any) // the request before it is signed
	header   func(h *keys.Header)   // its header
	signer2  keys.Signer            // signs instead
	instead  map[string]http.HandlerFunc
	nonce    string // the wallet's, of the newest POST
	hits     map[string]int
	answers  []oid4vp.Response
	shown    []map[string]any // claims of every presentation that held
	texts    []string         // presentations as they came
	failed   []error
}

const adultCheck = `{"credentials":[{"id":"resident","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["age_over_19"]}]}]}`

func newShop(w *world, id string) *shop {
	s := &shop{w: w, organisation: newOrganisation(w.t, id, registry.UseAuthentication, w.facts), hits: map[string]int{}, instead: map[string]http.HandlerFunc{}}
	s.origin = serve(w.t, s)
	s.key = must(keys.NewEphemeral("transaction-1"))(w.t)
	s.clientID = "x509_hash:" + keys.X509Hash(s.chain[0])
	w.facts.registration[string(s.did)+"adult-check"] = registry.Registration{
		DID: s.did, Purpose: "adult-check", Name: map[string]string{"ko": "별마루 편의점", "en": "Byeolmaru"}, PurposeText: map[string]string{"en": "Age check"},
		Claims: map[string][]string{residentID: {"age_over_19", "address.region"}}, RetentionDays: 1, From: start.Add(-time.Hour),
	}
	return s
}

// register changes the registration.
func (s *shop) register(change func(r *registry.Registration)) {
	s.w.facts.change(func() {
		key := string(s.did) + "adult-check"
		r := s.w.facts.registration[key]
		change(&r)
		s.w.facts.registration[key] = r
	})
}

// link is what the wallet opens.
func (s *shop) link() string {
	return must(oid4vp.Link{ClientID: s.clientID, RequestURI: s.origin + "/request", RequestURIMethod: s.method}.URL(oid4vp.LinkScheme))(s.w.t)
}

// ask sets the query of the next request.
func (s *shop) ask(dcql string) {
	s.alter(func(r map[string]any) { r["dcql_query"] = jsontext.Value(dcql) })
}

// alter adds a change of the request.
func (s *shop) alter(f func(r map[string]any)) {
	before := s.change
	s.change = func(r map[string]any) {
		if before != nil {
			before(r)
		}
		f(r)
	}
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hits[r.URL.Path]++
	if h, ok := s.instead[r.URL.Path]; ok {
		h(w, r)
		return
	}
	switch r.URL.Path {
	case "/request":
		s.nonce = r.FormValue("wallet_nonce")
		w.Header().Set("Content-Type", oid4vp.RequestMediaType)
		_, _ = io.WriteString(w, s.object(s.nonce))
	case "/response":
		if err := s.take(w, r); err != nil {
			s.failed = append(s.failed, err)
			oauth.WriteError(w, oauth.NewError(oauth.InvalidRequest, ""))
		}
	default:
		http.NotFound(w, r)
	}
}

// object signs the request object.
func (s *shop) object(walletNonce string) string {
	now := s.w.now()
	r := map[string]any{
		"client_id": s.clientID, "response_type": "vp_token", "response_mode": oid4vp.ModeDirectPostJWT, "response_uri": s.origin + "/response",
		"nonce": "n-0123456789", "state": "state-1", "aud": oid4vp.AudienceStatic, "iat": now.Unix(), "exp": now.Add(3 * time.Minute).Unix(),
		"dcql_query": jsontext.Value(adultCheck),
		"client_metadata": map[string]any{
			"jwks": map[string]any{"keys": []any{jsontext.Value(s.key.JWK())}}, "client_name": "Not to be believed",
			"encrypted_response_enc_values_supported": []string{"A256GCM"},
			"vp_formats_supported":                    map[string]any{"dc+sd-jwt": map[string]any{}},
		},
		"verifier_info": []any{map[string]any{"format": "dojang_registration", "data": map[string]any{"kid": s.url(), "purpose": "adult-check"}}},
	}
	if walletNonce != "" {
		r["wallet_nonce"] = walletNonce
	}
	if s.change != nil {
		s.change(r)
	}
	h := keys.Header{Typ: keys.TypRequestObject, X5C: s.chain}
	if c, err := oid4vp.ParseClientID(s.clientID); err == nil && c.Prefix == oid4vp.PrefixDID {
		h.Kid, h.X5C = s.url(), nil
	}
	if s.header != nil {
		s.header(&h)
	}
	signer := s.signer
	if s.signer2 != nil {
		signer = s.signer2
	}
	payload := must(json.Marshal(r))(s.w.t)
	return must(keys.SignJWS(signer, h, payload))(s.w.t)
}

// take verifies an answer as OpenID4VP 8.6 asks: mode, key, state, and for each presentation signature, key binding to
// this client and nonce.
func (s *shop) take(w http.ResponseWriter, r *http.Request) error {
	f, err := oauth.ParseForm(r, oid4vp.ResponseLimits())
	if err != nil {
		return err
	}
	var asked oid4vp.Request
	object := must(keys.ParseJWS(s.object(s.nonce), keys.Expect{Typ: keys.TypRequestObject, MaxBytes: 1 << 20}))(s.w.t)
	signer := s.signer
	if s.signer2 != nil {
		signer = s.signer2
	}
	if err := json.Unmarshal(must(object.Verify(signer.Public()))(s.w.t), &asked); err != nil {
		return err
	}
	a, err := oid4vp.DecodeResponse(f, oid4vp.ResponseExpect{Mode: asked.ResponseMode, Key: s.key, Encs: []string{"A256GCM"}, Query: *asked.DCQL})
	if err != nil {
		return err
	}
	if a.State != "state-1" {
		return errors.New("another state")
	}
	for id, list := range a.VPToken {
		if _, ok := asked.DCQL.Find(id); !ok {
			return errors.New("an answer to nothing")
		}
		for _, v := range list {
			text, _ := oid4vp.PresentationString(v)
			u, err := sdjwt.Parse(text)
			if err != nil {
				return err
			}
			verified, err := u.Verify(s.w.agency.signer.Public(), sdjwt.Options{
				Now: s.w.now(), RequireKeyBinding: true, Audience: s.clientID, Nonce: asked.Nonce,
			})
			if err != nil {
				return err
			}
			claims, _ := verified.Claims().Any().(map[string]any)
			s.shown, s.texts = append(s.shown, claims), append(s.texts, text)
		}
	}
	s.answers = append(s.answers, a)
	writeJSON(w, map[string]string{"redirect_uri": s.origin + "/done?response_code=abc"})
	return nil
}

// heard is what arrived at the response endpoint.
func (s *shop) heard() (posts int, answers []oid4vp.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits["/response"], append([]oid4vp.Response(nil), s.answers...)
}

// silent fails when anything was posted to the verifier.
func (s *shop) silent(t *testing.T) {
	t.Helper()
	if n, _ := s.heard(); n != 0 {
		t.Errorf("the wallet answered %d times before the person did", n)
	}
}
