package issuertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/issuer"
)

// An Answer is a whole HTTP response.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the `error` of an OAuth answer or the `code` of a problem, "" for neither.
func (a Answer) Code() string {
	var v struct {
		Error string `json:"error"`
		Code  string `json:"code"`
	}
	if json.Unmarshal(a.Body, &v) != nil {
		return ""
	}
	return v.Error + v.Code
}

// Decode reads the body.
func (a Answer) Decode(v any) error { return json.Unmarshal(a.Body, v) }

// Do sends one request.
func (k *Kit) Do(method, target string, header http.Header, body []byte) (Answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, target, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := k.Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	return Answer{Status: res.StatusCode, Header: res.Header, Body: out}, err
}

// Offer makes an offer to a person through the use case.
func (k *Kit) Offer(tenant, typ, person string, txCode bool) (issuer.Offered, error) {
	return k.Issuer.Offer(context.Background(), issuer.OfferRequest{Tenant: tenant, Type: typ, Person: person, TxCode: &txCode, Actor: "kit"})
}

// Fetch follows the offer's link by reference.
func (k *Kit) Fetch(o issuer.Offered) (oid4vci.Offer, error) {
	link, err := url.Parse(o.URI)
	if err != nil {
		return oid4vci.Offer{}, err
	}
	a, err := k.Do("GET", link.Query().Get("credential_offer_uri"), nil, nil)
	if err != nil {
		return oid4vci.Offer{}, err
	}
	if a.Status != http.StatusOK {
		return oid4vci.Offer{}, fmt.Errorf("issuertest: offer: status %d", a.Status)
	}
	return oid4vci.DecodeOffer(a.Body, func(string) bool { return true })
}

// Form posts a form.
func (k *Kit) Form(path string, form url.Values, header http.Header) (Answer, error) {
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for name, values := range header {
		h[name] = values
	}
	return k.Do("POST", k.URL+path, h, []byte(form.Encode()))
}

// Token redeems a code; tx "" sends none.
func (k *Kit) Token(tenant, code, tx string) (Answer, error) {
	form := url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {code}}
	if tx != "" {
		form.Set("tx_code", tx)
	}
	return k.Form("/"+tenant+"/token", form, nil)
}

// Nonce fetches a c_nonce.
func (k *Kit) Nonce(tenant string) (string, error) {
	a, err := k.Do("POST", k.URL+"/"+tenant+"/nonce", nil, nil)
	if err != nil {
		return "", err
	}
	var n oid4vci.NonceResponse
	if err := a.Decode(&n); err != nil || a.Status != http.StatusOK {
		return "", fmt.Errorf("issuertest: nonce: status %d", a.Status)
	}
	return n.CNonce, nil
}

// Proofs are n proofs of fresh keys over one nonce.
func (k *Kit) Proofs(tenant, nonce string, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		key, err := keys.Generate(keys.ES256)
		if err != nil {
			return nil, err
		}
		out[i], err = oid4vci.BuildProof(key, oid4vci.ProofRequest{Audience: k.URL + "/" + tenant, Nonce: nonce, Now: k.Clock.Now()})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// A Flow is one issuance on its way.
type Flow struct {
	Tenant, Config string
	Offered        issuer.Offered
	Access         string
	Proofs         []string
}

// Body of the credential request.
func (f Flow) Body() []byte {
	b, err := json.Marshal(oid4vci.CredentialRequest{CredentialConfigurationID: f.Config, Proofs: oid4vci.Proofs{JWT: f.Proofs}})
	if err != nil { // strings only
		panic(err)
	}
	return b
}

// Begin goes from the offer to proofs ready to be sent: n fresh keys over a fresh nonce.
func (k *Kit) Begin(tenant, typ, person string, n int) (Flow, error) {
	o, err := k.Offer(tenant, typ, person, false)
	if err != nil {
		return Flow{}, err
	}
	offer, err := k.Fetch(o)
	if err != nil {
		return Flow{}, err
	}
	return k.Redeem(tenant, o, offer, n)
}

// Redeem is Begin from an offer that was fetched.
func (k *Kit) Redeem(tenant string, o issuer.Offered, offer oid4vci.Offer, n int) (Flow, error) {
	f := Flow{Tenant: tenant, Config: offer.CredentialConfigurationIDs[0], Offered: o}
	a, err := k.Token(tenant, offer.Grants.PreAuthorizedCode.PreAuthorizedCode, o.TxCode)
	if err != nil {
		return f, err
	}
	if a.Status != http.StatusOK {
		return f, fmt.Errorf("issuertest: token: status %d %s", a.Status, a.Code())
	}
	t, err := oid4vci.DecodeTokenResponse(a.Body)
	if err != nil {
		return f, err
	}
	f.Access = t.AccessToken
	nonce, err := k.Nonce(tenant)
	if err != nil {
		return f, err
	}
	f.Proofs, err = k.Proofs(tenant, nonce, n)
	return f, err
}

// Credential sends the request of a flow.
func (k *Kit) Credential(f Flow) (Answer, error) {
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + f.Access}}
	return k.Do("POST", k.URL+"/"+f.Tenant+"/credential", h, f.Body())
}

// Credentials are the texts in an answer.
func (a Answer) Credentials() ([]string, error) {
	if a.Status != http.StatusOK {
		return nil, fmt.Errorf("issuertest: credential: status %d %s", a.Status, a.Code())
	}
	var r oid4vci.CredentialResponse
	if err := a.Decode(&r); err != nil {
		return nil, err
	}
	var out []string
	for _, c := range r.Credentials {
		s, ok := c.Text()
		if !ok {
			return nil, errors.New("issuertest: credential is not a string")
		}
		out = append(out, s)
	}
	return out, nil
}

// Receive is the whole flow: n copies.
func (k *Kit) Receive(tenant, typ, person string, n int) (Flow, []string, error) {
	f, err := k.Begin(tenant, typ, person, n)
	if err != nil {
		return f, nil, err
	}
	a, err := k.Credential(f)
	if err != nil {
		return f, nil, err
	}
	texts, err := a.Credentials()
	return f, texts, err
}

// Call is a request to the management API with a bearer token and a JSON body ("" for none).
func (k *Kit) Call(method, path, bearer, body string) (Answer, error) {
	h := http.Header{"Authorization": {"Bearer " + bearer}}
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	return k.Do(method, k.Manage+path, h, []byte(strings.TrimSpace(body)))
}
