package holder

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/sqldb"
	walletapi "github.com/dojang-id/dojang/wallet-api"
)

// attested is a wallet attestation of a key made for one issuer, so that no two issuers see the same one.
type attested struct {
	key           keys.Signer
	jwt, clientID string
}

// attested asks the wallet provider; nil without one.
func (h *Holder) attested(ctx context.Context) (*attested, error) {
	if h.cfg.Provider == "" {
		return nil, nil
	}
	device, id, err := h.instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("enrol at the wallet provider: %w", err)
	}
	fresh, err := h.newKey()
	if err != nil {
		return nil, err
	}
	challenge, err := h.challenge(ctx)
	if err != nil {
		return nil, err
	}
	inner, err := h.proof(walletapi.TypKey, fresh, "", challenge, "")
	if err != nil {
		return nil, err
	}
	outer, err := h.proof(walletapi.TypRequest, device, id, challenge, inner)
	if err != nil {
		return nil, err
	}
	answer, err := h.provider(ctx, "/v1/attestations", outer, "attestation", "client_id")
	if err != nil {
		return nil, fmt.Errorf("ask for a wallet attestation: %w", err)
	}
	return &attested{key: fresh, jwt: answer["attestation"], clientID: answer["client_id"]}, nil
}

// vouch adds the headers of attestation-based client authentication, with a proof for this one request.
func (h *Holder) vouch(a *attested, server, challenge string, header http.Header) error {
	if a == nil {
		return nil
	}
	jti, err := h.newID()
	if err != nil {
		return err
	}
	pop, err := oauth.BuildAttestationPoP(a.key, oauth.AttestationPoP{
		ClientID: a.clientID, Audience: server, Challenge: challenge, JTI: jti, Now: h.cfg.Now(),
	})
	if err != nil {
		return err
	}
	header.Set(oauth.HeaderAttestation, a.jwt)
	header.Set(oauth.HeaderAttestationPoP, pop)
	return nil
}

// serverChallenge fetches what the authorization server wants to see in the proof; "" when it names no endpoint.
func (h *Holder) serverChallenge(ctx context.Context, a *attested, endpoint string) (string, error) {
	if a == nil || endpoint == "" {
		return "", nil
	}
	res, err := h.do(ctx, httpd.Request{Method: http.MethodPost, URL: endpoint}, ErrOffer)
	if err != nil {
		return "", fmt.Errorf("fetch a challenge: %w", err)
	}
	var answer struct {
		Challenge string `json:"attestation_challenge"`
	}
	if res.Status != http.StatusOK || json.Unmarshal(res.Body, &answer) != nil || answer.Challenge == "" {
		return "", fmt.Errorf("%w: no challenge: %s", ErrRefused, wireError(res))
	}
	return answer.Challenge, nil
}

// instance is this wallet's key towards its provider, enrolled at first use.
func (h *Holder) instance(ctx context.Context) (keys.Signer, string, error) {
	var id string
	var sealed []byte
	err := h.db.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT id, private FROM instance WHERE provider = ?`, h.cfg.Provider).Scan(&id, &sealed)
	})
	if err == nil {
		private, err := h.seal.open(place("instance", h.cfg.Provider, 0), sealed)
		if err != nil {
			return nil, "", err
		}
		signer, err := openKey(private)
		return signer, id, err
	}
	if !errors.Is(err, sqldb.ErrNotFound) {
		return nil, "", err
	}
	key, err := h.newKey()
	if err != nil {
		return nil, "", err
	}
	challenge, err := h.challenge(ctx)
	if err != nil {
		return nil, "", err
	}
	proof, err := h.proof(walletapi.TypEnrolment, key, "", challenge, "")
	if err != nil {
		return nil, "", err
	}
	answer, err := h.provider(ctx, "/v1/instances", proof, "instance")
	if err != nil {
		return nil, "", err
	}
	id = answer["instance"]
	if sealed, err = h.seal.seal(place("instance", h.cfg.Provider, 0), key.private); err != nil {
		return nil, "", err
	}
	return key, id, h.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO instance (provider, id, private) VALUES (?, ?, ?) ON CONFLICT (provider) DO UPDATE SET id = excluded.id, private = excluded.private`,
			h.cfg.Provider, id, sealed)
		return err
	})
}

func (h *Holder) challenge(ctx context.Context) (string, error) {
	answer, err := h.provider(ctx, "/v1/challenges", "", "challenge")
	return answer["challenge"], err
}

// proof signs what the provider wants; the key is named in jwk, or by kid when there is one.
func (h *Holder) proof(typ string, s keys.Signer, kid, challenge, inner string) (string, error) {
	payload, err := json.Marshal(map[string]any{"aud": h.cfg.Provider, "iat": h.cfg.Now().Unix(), "challenge": challenge, "key": inner, "platform": ""})
	if err != nil {
		return "", err
	}
	header := keys.Header{Typ: typ, Kid: kid}
	if kid == "" {
		header.JWK = s.Public()
	}
	return keys.SignJWS(s, header, payload)
}

// provider posts a proof and returns the answer, which has all of these members.
func (h *Holder) provider(ctx context.Context, path, proof string, members ...string) (map[string]string, error) {
	r := httpd.Request{Method: http.MethodPost, URL: h.cfg.Provider + path, Header: http.Header{"Content-Type": {"application/json"}}}
	if proof != "" {
		body, err := json.Marshal(map[string]string{"proof": proof})
		if err != nil {
			return nil, err
		}
		r.Body = body
	}
	res, err := h.do(ctx, r, ErrRefused)
	if err != nil {
		return nil, err
	}
	var answer map[string]string
	if res.Status != http.StatusOK || json.Unmarshal(res.Body, &answer) != nil {
		return nil, fmt.Errorf("%w: the wallet provider answered with status %d", ErrRefused, res.Status)
	}
	for _, m := range members {
		if answer[m] == "" {
			return nil, fmt.Errorf("%w: the wallet provider's answer lacks %s", ErrRefused, m)
		}
	}
	return answer, nil
}
