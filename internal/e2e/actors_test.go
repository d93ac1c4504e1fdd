package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

// must(f())(t) is what f returned, or the end of the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

var client = &http.Client{Timeout: 20 * time.Second}

// run is t.Run for a subtest that speaks to the demo.
func (r *running) run(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		outer := r.t
		r.t = t
		defer func() { r.t = outer }()
		f(t)
	})
}

// party is a member of a party in demo.json: url, management_url or token.
func (r *running) party(name, member string) string {
	r.t.Helper()
	p, _ := r.describe()[name].(map[string]any)
	s, _ := p[member].(string)
	if s == "" {
		r.t.Fatalf("demo.json names no %s of %s", member, name)
	}
	return s
}

// manage calls a party's management API and returns the status and what it decoded.
func (r *running) manage(party, method, path string, in any) (int, map[string]any) {
	r.t.Helper()
	body := must(json.Marshal(in))(r.t)
	req := must(http.NewRequest(method, r.party(party, "management_url")+path, bytes.NewReader(body)))(r.t)
	req.Header.Set("Authorization", "Bearer "+r.party(party, "token"))
	req.Header.Set("Content-Type", "application/json")
	res := must(client.Do(req))(r.t)
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return res.StatusCode, out
}

// chain is a reader of the registry of its own, over HTTP, with the demo's trust file.
func (r *running) chain(transport http.RoundTripper) *light.Client {
	r.t.Helper()
	file := must(os.ReadFile(filepath.Join(r.data, "trust.json")))(r.t)
	cfg := light.Config{Nodes: []string{r.party("registry", "url")}, Trust: must(evidence.ParseTrust(file))(r.t)}
	if transport != nil {
		cfg.HTTP = &http.Client{Timeout: 5 * time.Second, Transport: transport}
	}
	return must(light.New(cfg))(r.t)
}

// vault opens a key store of the data directory: whoever may read the directory holds these keys.
func (r *running) vault(party string) *keys.FileStore {
	r.t.Helper()
	pass := must(os.ReadFile(filepath.Join(r.data, "passphrase")))(r.t)
	return must(keys.NewFileStore(keys.FileStoreConfig{Dir: filepath.Join(r.data, party, "keys"), Passphrase: pass, Interactive: true}))(r.t)
}

// govern signs an operation as the demo's one member and waits until the chain has proven it.
func (r *running) govern(o registry.Operation) {
	r.t.Helper()
	key := must(r.vault("registry").Signer("governance"))(r.t)
	public := must(registry.NewPublicKey(key.Public().Crypto()))(r.t)
	r.submit(must(o.Sign(registry.SigningKey{Role: registry.RoleMember("kr-trust-authority"), Public: public, Signer: key}))(r.t))
}

func (r *running) submit(operation []byte) {
	r.t.Helper()
	out, err := r.chain(nil).Submit(context.Background(), operation)
	if err != nil || out[0].Code != "ok" {
		r.t.Fatalf("the chain refused: %v %v", out, err)
	}
}

// A copied credential is one copy with its key, in the hands of somebody who does not use our wallet.
type copied struct {
	text string
	key  keys.Signer
}

// receive is an issuance by hand: offer, token, nonce, proofs, credentials. Anonymous, bearer, without attestation.
func (r *running) receive(typ, person string, copies int) (id string, out []copied) {
	r.t.Helper()
	var offer struct {
		URI string `json:"credential_offer_uri"`
		ID  string
	}
	r.demo(&offer, "offer", "--type", typ, "--person", person)
	link := must(url.Parse(offer.URI))(r.t)
	var o oid4vci.Offer
	r.get(link.Query().Get("credential_offer_uri"), &o)
	var token struct {
		Access string `json:"access_token"`
	}
	r.post(o.CredentialIssuer+"/token", "application/x-www-form-urlencoded", "", url.Values{
		"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {o.Grants.PreAuthorizedCode.PreAuthorizedCode},
	}.Encode(), &token)
	var nonce struct {
		Nonce string `json:"c_nonce"`
	}
	r.post(o.CredentialIssuer+"/nonce", "", "", "", &nonce)
	request := oid4vci.CredentialRequest{CredentialConfigurationID: o.CredentialConfigurationIDs[0]}
	for range copies {
		c := copied{key: must(keys.Generate(keys.ES256))(r.t)}
		request.Proofs.JWT = append(request.Proofs.JWT, must(oid4vci.BuildProof(c.key, oid4vci.ProofRequest{
			Audience: o.CredentialIssuer, Nonce: nonce.Nonce, Now: time.Now(),
		}))(r.t))
		out = append(out, c)
	}
	var answer struct {
		Credentials []struct{ Credential string }
	}
	body := must(json.Marshal(map[string]any{"credential_configuration_id": request.CredentialConfigurationID, "proofs": map[string]any{"jwt": request.Proofs.JWT}}))(r.t)
	r.post(o.CredentialIssuer+"/credential", "application/json", "Bearer "+token.Access, string(body), &answer)
	if len(answer.Credentials) != copies {
		r.t.Fatalf("%d copies, want %d", len(answer.Credentials), copies)
	}
	for i := range out {
		out[i].text = answer.Credentials[i].Credential
	}
	return offer.ID, out
}

func (r *running) get(url string, v any) {
	r.t.Helper()
	res := must(client.Get(url))(r.t)
	r.decode(res, v)
}

func (r *running) post(url, contentType, authorization, body string, v any) {
	r.t.Helper()
	req := must(http.NewRequest(http.MethodPost, url, strings.NewReader(body)))(r.t)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	r.decode(must(client.Do(req))(r.t), v)
}

func (r *running) decode(res *http.Response, v any) {
	r.t.Helper()
	defer res.Body.Close()
	body := must(io.ReadAll(res.Body))(r.t)
	if res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s %s: %d %s", res.Request.Method, res.Request.URL, res.StatusCode, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		r.t.Fatalf("%s: %v", res.Request.URL, err)
	}
}

// present discloses the named claims, bound to an audience and a nonce.
func (c copied) present(t *testing.T, kb sdjwt.KeyBinding, names ...string) string {
	t.Helper()
	if kb.IssuedAt.IsZero() {
		kb.IssuedAt = time.Now()
	}
	var paths []sdjwt.Path
	for _, n := range names {
		paths = append(paths, sdjwt.Path{n})
	}
	return must(must(sdjwt.Open(c.text))(t).Present(paths, kb, c.key))(t)
}

// An asked request is one of the demo's verifier that a wallet has opened.
type asked struct {
	oid4vp.VerifiedRequest
	id string
}

// ask makes a request for a policy and opens it, with the ahead of the demo's clock that the test has set.
func (r *running) ask(policy, prefix string, ahead time.Duration) asked {
	r.t.Helper()
	var request struct {
		URI string `json:"request_uri"`
		ID  string
	}
	r.demo(&request, "request", "--policy", policy, "--client-id-prefix", prefix)
	w := verifiertest.Wallet{Client: client, Facts: r.chain(nil), Now: func() time.Time { return time.Now().Add(ahead) }}
	anchors, _ := r.describe()["trust_anchors"].([]any)
	for _, a := range anchors {
		w.Roots = append(w.Roots, must(keys.ReadPEM(must(os.ReadFile(a.(string)))(r.t)))(r.t)...)
	}
	return asked{must(w.Fetch(request.URI, ""))(r.t), request.ID}
}

// answer posts a presentation to a request and returns the HTTP status and the body that was sent.
func (r *running) answer(a asked, queryID, presentation string) (status int, body string) {
	r.t.Helper()
	body = verifiertest.Answer(a.VerifiedRequest, map[string]string{queryID: presentation}, nil)
	return r.send(a.ResponseURI, body), body
}

func (r *running) send(responseURI, body string) int {
	r.t.Helper()
	res := must(client.Post(responseURI, "application/x-www-form-urlencoded", strings.NewReader(body)))(r.t)
	defer res.Body.Close()
	_, err := io.Copy(io.Discard, res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode
}

// result is what the verifier stored for a request.
func (r *running) result(id string) result {
	r.t.Helper()
	var got result
	r.demo(&got, "result", "--id", id)
	return got
}

// hand is a receipt by our wallet on the command line: it returns the offer's id.
func (r *running) hand(wallet, typ, person string) string {
	r.t.Helper()
	var offer struct {
		URI string `json:"credential_offer_uri"`
		ID  string
	}
	r.demo(&offer, "offer", "--type", typ, "--person", person)
	var received struct {
		Copies  int
		Expires time.Time
	}
	output(r.t, &received, "wallet", "receive", "--data", r.data, "--wallet", wallet, "--json", offer.URI)
	// DESIGN 5.7: 45 days at least; youth-eligibility ends earlier, with its round.
	if received.Copies != 10 || typ == "resident-id" && time.Until(received.Expires) < 45*24*time.Hour {
		r.t.Errorf("%d copies until %v", received.Copies, received.Expires)
	}
	return offer.ID
}

// act runs a demo command whose answer nobody reads.
func (r *running) act(args ...string) {
	r.t.Helper()
	var out map[string]any
	r.demo(&out, args...)
}

// exitCode runs a command and tells how it ended, with all that it printed.
func exitCode(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := dojang(t, args...)
	out, err := cmd.CombinedOutput()
	var ended interface{ ExitCode() int }
	if err != nil && !errors.As(err, &ended) {
		t.Fatalf("dojang %s: %v", strings.Join(args, " "), err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// claimsOf reads a credential's processed payload.
func claimsOf(t *testing.T, text string) map[string]any {
	t.Helper()
	claims, ok := must(sdjwt.Open(text))(t).Claims().Any().(map[string]any)
	if !ok {
		t.Fatal("the credential's payload is no object")
	}
	return claims
}
