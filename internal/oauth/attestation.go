package oauth

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
)

// The two headers of attestation-based client authentication, and the one that carries a challenge back.
const (
	HeaderAttestation    = "OAuth-Client-Attestation"
	HeaderAttestationPoP = "OAuth-Client-Attestation-PoP"
	HeaderChallenge      = "OAuth-Client-Attestation-Challenge"
)

const maxAttestationBytes = 16 << 10

// An Attestation is what a wallet provider says of a wallet instance (OpenID4VCI 1.0 appendix E).
type Attestation struct {
	Issuer     string // iss; optional
	ClientID   string // sub, shared by all instances of the wallet
	Key        *keys.PublicKey
	NotBefore  time.Time // zero: absent
	IssuedAt   time.Time // zero: absent
	Expires    time.Time
	WalletName string
	WalletLink string
	Status     []byte // raw JSON of `status`; nil: absent. The caller checks it.
}

// AttestationExpect says what the pair of headers must match.
type AttestationExpect struct {
	Audience string // the authorization server's issuer identifier, exact
	ClientID string // of the request; "" when it came without one
	Now      time.Time
	// TrustedKey answers which key may have signed the attestation: from its x5c chain or kid, never from a jwk header
	// (an attestation with one is refused before). Any error becomes invalid_client.
	TrustedKey func(h *keys.Header) (*keys.PublicKey, error)
	// MaxAge bounds the attestation's own age by iat; 0: unbounded. Older is use_fresh_attestation.
	MaxAge time.Duration
	// CheckChallenge judges the server's challenge; nil: none demanded. Any error becomes use_attestation_challenge.
	CheckChallenge func(challenge string) error
	// FirstUse records a proof of possession until its window ends and reports whether it was new. Required.
	FirstUse func(id string, until time.Time) (bool, error)
}

type attestationClaims struct {
	Iss        string         `json:"iss,omitzero"`
	Sub        string         `json:"sub"`
	Nbf        jsontext.Value `json:"nbf,omitzero"`
	Iat        jsontext.Value `json:"iat,omitzero"`
	Exp        jsontext.Value `json:"exp"`
	Cnf        cnf            `json:"cnf"`
	WalletName string         `json:"wallet_name,omitzero"`
	WalletLink string         `json:"wallet_link,omitzero"`
	Status     jsontext.Value `json:"status,omitzero"`
}

type cnf struct {
	JWK jsontext.Value `json:"jwk"`
}

type popClaims struct {
	Iss       string         `json:"iss,omitzero"`
	Aud       string         `json:"aud"`
	JTI       string         `json:"jti"`
	Iat       jsontext.Value `json:"iat"`
	Challenge string         `json:"challenge,omitzero"`
}

// HasAttestation reports whether the request carries either header.
func HasAttestation(h http.Header) bool {
	return len(h.Values(HeaderAttestation)) > 0 || len(h.Values(HeaderAttestationPoP)) > 0
}

// VerifyAttestation checks both headers. Errors: invalid_client (also when a header is missing: HasAttestation tells),
// use_attestation_challenge (add a fresh challenge with WithHeader), use_fresh_attestation, server_error.
func VerifyAttestation(h http.Header, e AttestationExpect) (Attestation, error) {
	wia, pop := h.Values(HeaderAttestation), h.Values(HeaderAttestationPoP)
	if len(wia) != 1 || len(pop) != 1 {
		return Attestation{}, badClient("one attestation and one proof of possession are required", nil)
	}
	a, err := e.openAttestation(wia[0])
	if err != nil {
		return Attestation{}, err
	}
	if err := e.checkPoP(pop[0], a); err != nil {
		return Attestation{}, err
	}
	return a, nil
}

func (e AttestationExpect) openAttestation(token string) (Attestation, error) {
	j, err := keys.ParseJWS(token, keys.Expect{Typ: keys.TypClientAttestation, MaxBytes: maxAttestationBytes})
	if err != nil {
		return Attestation{}, badClient("attestation is malformed", err)
	}
	if j.Header().JWK != nil {
		return Attestation{}, badClient("attestation names its own key", nil)
	}
	key, err := e.TrustedKey(j.Header())
	if err != nil {
		return Attestation{}, badClient("attestation is not from a trusted provider", err)
	}
	payload, err := j.Verify(key)
	if err != nil {
		return Attestation{}, badClient("attestation signature is invalid", err)
	}
	a, err := decodeAttestation(payload)
	if err != nil {
		return Attestation{}, badClient("attestation lacks a required claim", err)
	}
	return a, e.checkTimes(a)
}

func (e AttestationExpect) checkTimes(a Attestation) error {
	soon := e.Now.Add(proofWindow)
	switch {
	case keys.Expired(a.Expires, e.Now):
		return badClient("attestation has expired", nil)
	case a.NotBefore.After(soon) || a.IssuedAt.After(soon):
		return badClient("attestation is not valid yet", nil)
	case e.ClientID != "" && e.ClientID != a.ClientID:
		return badClient("client_id is not the attested one", nil)
	case e.MaxAge > 0 && (a.IssuedAt.IsZero() || a.IssuedAt.Before(e.Now.Add(-e.MaxAge))):
		return NewError(UseFreshAttestation, "attestation is too old")
	}
	return nil
}

func decodeAttestation(payload []byte) (Attestation, error) {
	var c attestationClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Attestation{}, err
	}
	if c.Sub == "" || len(c.Sub) > maxTokenID || len(c.Cnf.JWK) == 0 {
		return Attestation{}, errors.New("sub or cnf.jwk is missing")
	}
	key, err := keys.ParseJWK(c.Cnf.JWK)
	if err != nil {
		return Attestation{}, err
	}
	a := Attestation{Issuer: c.Iss, ClientID: c.Sub, Key: key, WalletName: c.WalletName, WalletLink: c.WalletLink, Status: c.Status}
	if a.Expires, err = keys.ParseNumericDate(c.Exp); err != nil {
		return Attestation{}, err
	}
	if a.NotBefore, err = optionalDate(c.Nbf); err != nil {
		return Attestation{}, err
	}
	a.IssuedAt, err = optionalDate(c.Iat)
	return a, err
}

func (e AttestationExpect) checkPoP(token string, a Attestation) error {
	j, err := keys.ParseJWS(token, keys.Expect{Typ: keys.TypClientAttestPoP, MaxBytes: maxProofBytes})
	if err != nil {
		return badClient("proof of possession is malformed", err)
	}
	payload, err := j.Verify(a.Key)
	if err != nil {
		return badClient("proof of possession is not by the attested key", err)
	}
	var c popClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return badClient("proof of possession is malformed", err)
	}
	iat, err := keys.ParseNumericDate(c.Iat)
	switch {
	case err != nil || iat.Before(e.Now.Add(-proofWindow)) || iat.After(e.Now.Add(proofWindow)):
		return badClient("proof of possession is outside of its window", err)
	case c.Aud != e.Audience || e.Audience == "":
		return badClient("proof of possession is for another server", nil)
	case c.Iss != "" && c.Iss != a.ClientID: // draft -07 demands iss, later drafts dropped it
		return badClient("proof of possession is for another client", nil)
	case c.JTI == "" || len(c.JTI) > maxTokenID || len(c.Challenge) > maxTokenID:
		return badClient("jti is missing or too long", nil)
	}
	if e.CheckChallenge != nil {
		if err := e.CheckChallenge(c.Challenge); err != nil {
			return NewError(UseAttestationChallenge, "a fresh challenge is required").WithParent(err)
		}
	}
	fresh, err := e.FirstUse(replayID(a.Key.Thumbprint(), c.JTI), iat.Add(2*proofWindow))
	if err != nil {
		return NewError(ServerError, "internal error").WithParent(err)
	}
	if !fresh {
		return badClient("proof of possession was used before", nil)
	}
	return nil
}

func badClient(why string, parent error) *Error {
	return NewError(InvalidClient, why).WithParent(parent)
}

// AttestationHeader says how the provider's key is named: a chain without its anchor (HAIP) or a kid.
type AttestationHeader struct {
	Kid string
	X5C [][]byte
}

// BuildAttestation is the wallet provider's side: an oauth-client-attestation+jwt for the instance key a.Key.
func BuildAttestation(s keys.Signer, h AttestationHeader, a Attestation) (string, error) {
	if a.ClientID == "" || a.Key == nil || a.Expires.IsZero() {
		return "", errors.New("oauth: attestation needs client id, key and expiry")
	}
	c := attestationClaims{
		Iss: a.Issuer, Sub: a.ClientID, Exp: numericDate(a.Expires), Cnf: cnf{JWK: a.Key.JWK()},
		WalletName: a.WalletName, WalletLink: a.WalletLink, Status: a.Status,
	}
	if !a.NotBefore.IsZero() {
		c.Nbf = numericDate(a.NotBefore)
	}
	if !a.IssuedAt.IsZero() {
		c.Iat = numericDate(a.IssuedAt)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return keys.SignJWS(s, keys.Header{Typ: keys.TypClientAttestation, Kid: h.Kid, X5C: h.X5C}, payload)
}

// AttestationPoP is what an instance proves.
type AttestationPoP struct {
	ClientID  string // the attestation's sub; draft -07, which OpenID4VCI 1.0 cites, wants it as iss
	Audience  string // the authorization server's issuer identifier
	Challenge string // "" when the server gave none
	JTI       string // 128 random bits or more, base64url
	Now       time.Time
}

// BuildAttestationPoP is the wallet instance's side, signed by the key that the attestation names.
func BuildAttestationPoP(s keys.Signer, p AttestationPoP) (string, error) {
	if p.Audience == "" || p.JTI == "" {
		return "", errors.New("oauth: proof of possession needs audience and jti")
	}
	payload, err := json.Marshal(popClaims{Iss: p.ClientID, Aud: p.Audience, JTI: p.JTI, Iat: numericDate(p.Now), Challenge: p.Challenge})
	if err != nil {
		return "", err
	}
	return keys.SignJWS(s, keys.Header{Typ: keys.TypClientAttestPoP}, payload)
}

func numericDate(t time.Time) jsontext.Value {
	return jsontext.Value(strconv.AppendInt(nil, t.Unix(), 10))
}

func optionalDate(raw jsontext.Value) (time.Time, error) {
	if len(raw) == 0 {
		return time.Time{}, nil
	}
	return keys.ParseNumericDate(raw)
}
