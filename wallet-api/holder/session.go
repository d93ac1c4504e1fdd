package holder

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
)

// A session is one redeemed code: the access token and, where the server knows DPoP, the key that the token is bound to.
// Its key and attestation are made for this issuer alone and forgotten with it.
type session struct {
	h        *Holder
	offer    *Offer
	wallet   *attested   // nil: anonymous
	key      keys.Signer // DPoP (RFC 9449); nil: bearer
	nonce    string      // the server's newest DPoP nonce
	token    string
	datasets map[string]string // configuration -> credential identifier, when the server named any
}

// redeem exchanges the pre-authorized code (OpenID4VCI 6).
func (h *Holder) redeem(ctx context.Context, o *Offer, txCode string) (*session, error) {
	s := &session{h: h, offer: o, datasets: map[string]string{}}
	var err error
	if s.wallet, err = h.attested(ctx); err != nil {
		return nil, err
	}
	if slices.Contains(o.as.DPoPSigningAlgValuesSupported, keys.ES256) {
		if s.key, err = h.newKey(); err != nil {
			return nil, err
		}
	}
	request := oid4vci.TokenRequest{PreAuthorizedCode: o.code}
	request.GrantType = oauth.GrantPreAuthorizedCode
	if o.NeedsTxCode {
		request.TxCode = txCode
	}
	form, err := request.Form()
	if err != nil {
		return nil, err
	}
	res, err := s.ask(ctx, form)
	if err != nil {
		return nil, fmt.Errorf("redeem the code: %w", err)
	}
	if res.Status != http.StatusOK {
		refusal := wireError(res)
		if o.NeedsTxCode && refusal == string(oauth.InvalidGrant) {
			return nil, fmt.Errorf("%w: %s", ErrTxCode, refusal)
		}
		return nil, fmt.Errorf("%w: redeem the code: %s", ErrRefused, refusal)
	}
	return s, s.take(res.Body)
}

// ask posts to the token endpoint; a server that wants a challenge in the attestation's proof says so, and gets it once.
func (s *session) ask(ctx context.Context, form string) (*httpd.Response, error) {
	challenge, err := s.h.serverChallenge(ctx, s.wallet, s.offer.as.ChallengeEndpoint)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		r := httpd.Request{Method: http.MethodPost, URL: s.offer.as.TokenEndpoint, Body: []byte(form),
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}}
		res, err := s.send(ctx, r, func(header http.Header) error {
			return s.h.vouch(s.wallet, s.offer.as.Issuer, challenge, header)
		})
		if err != nil || attempt > 0 || s.wallet == nil || wireError(res) != string(oauth.UseAttestationChallenge) {
			return res, err
		}
		challenge = res.Header.Get(oauth.HeaderChallenge)
	}
}

// take reads the token response. A token that is not bound to our key where one was sent is refused: it could be stolen.
func (s *session) take(body []byte) error {
	token, err := oid4vci.DecodeTokenResponse(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if (token.TokenType == oauth.SchemeDPoP) != (s.key != nil) {
		return fmt.Errorf("%w: the token is bound in another way than asked for", ErrRefused)
	}
	s.token = token.AccessToken
	for _, d := range token.AuthorizationDetails {
		if len(d.CredentialIdentifiers) > 0 {
			s.datasets[d.CredentialConfigurationID] = d.CredentialIdentifiers[0]
		}
	}
	return nil
}

// post sends JSON with the access token.
func (s *session) post(ctx context.Context, url string, v any) (*httpd.Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.send(ctx, httpd.Request{Method: http.MethodPost, URL: url, Body: body, Header: http.Header{"Content-Type": {"application/json"}}}, nil)
}

// send adds token and DPoP proof, and whatever more fills in; a server that wants its nonce in the proof gets it once.
func (s *session) send(ctx context.Context, r httpd.Request, more func(http.Header) error) (*httpd.Response, error) {
	for attempt := 0; ; attempt++ {
		if err := s.authorize(&r); err != nil {
			return nil, err
		}
		if more != nil {
			if err := more(r.Header); err != nil {
				return nil, err
			}
		}
		res, err := s.h.do(ctx, r, ErrOffer)
		if err != nil {
			return nil, err
		}
		if nonce := res.Header.Get(oauth.HeaderDPoPNonce); nonce != "" {
			s.nonce = nonce
		}
		if attempt > 0 || s.key == nil || !wantsNonce(res) {
			return res, nil
		}
	}
}

func (s *session) authorize(r *httpd.Request) error {
	scheme := oauth.SchemeBearer
	if s.key != nil {
		jti, err := s.h.newID()
		if err != nil {
			return err
		}
		proof, err := oauth.BuildDPoP(s.key, oauth.DPoPRequest{
			Method: r.Method, URL: r.URL, AccessToken: s.token, Nonce: s.nonce, JTI: jti, Now: s.h.cfg.Now(),
		})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrOffer, err)
		}
		scheme = oauth.SchemeDPoP
		r.Header.Set(oauth.HeaderDPoP, proof)
	}
	if s.token != "" {
		r.Header.Set("Authorization", oauth.AccessToken{Scheme: scheme, Token: s.token}.Header())
	}
	return nil
}

// wantsNonce: the token endpoint says it in the body, the others in the challenge (RFC 9449 8, 9).
func wantsNonce(res *httpd.Response) bool {
	const want = string(oauth.UseDPoPNonce)
	return res.Status == http.StatusBadRequest && wireError(res) == want ||
		res.Status == http.StatusUnauthorized && strings.Contains(res.Header.Get("WWW-Authenticate"), want)
}

// clientID is who we are in proofs: nobody without an attestation.
func (s *session) clientID() string {
	if s.wallet == nil {
		return ""
	}
	return s.wallet.clientID
}

// wireError is the `error` member of an OAuth answer, or the status: a code, never free text.
func wireError(res *httpd.Response) string {
	var e struct {
		Error string `json:"error"`
	}
	const code = "abcdefghijklmnopqrstuvwxyz_"
	if json.Unmarshal(res.Body, &e) == nil && e.Error != "" && len(e.Error) < 64 && strings.Trim(e.Error, code) == "" {
		return e.Error
	}
	return fmt.Sprintf("status %d", res.Status)
}
