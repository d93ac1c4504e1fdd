package holder

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/registry"
)

// RegistrationFormat names the verifier_info element in which our verifiers say under which of their registrations they
// ask (OpenID4VP 5.11). The data are only a pointer, {"kid", "purpose"}: kid is the DID URL of the signing key;
// what counts is on the registry.
const RegistrationFormat = "dojang_registration"

// openRequest fetches and verifies the request object. Errors: ErrRequest (a *Refusal when the client is authenticated),
// ErrRefused, ErrRegistry, ErrUnreachable.
func (h *Holder) openRequest(ctx context.Context, text string) (oid4vp.VerifiedRequest, error) {
	var none oid4vp.VerifiedRequest
	link, err := oid4vp.ParseLink(text, h.cfg.AllowHTTP)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if link.Unsigned != nil {
		return none, fmt.Errorf("%w: it is not signed", ErrRequest)
	}
	object, walletNonce := link.RequestObject, ""
	if link.RequestURI != "" {
		if object, walletNonce, err = h.fetchRequest(ctx, link); err != nil {
			return none, err
		}
	}
	var offline error // the registry's, behind what the format room makes of it
	request, err := oid4vp.VerifyRequest(object, oid4vp.RequestExpect{
		ClientID: link.ClientID, WalletNonce: walletNonce, Now: h.cfg.Now(), AllowHTTP: h.cfg.AllowHTTP,
		Formats: []string{oid4vp.FormatSDJWTVC},
		ResolveDID: func(didURL string) (*keys.PublicKey, error) {
			key, err := h.authenticationKey(ctx, didURL)
			offline = err
			return key, err
		},
		VerifyChain: func(chain [][]byte) (*keys.Leaf, error) { return readLeaf(chain, h.cfg.Now()) },
	})
	var refused *oid4vp.Refusal
	switch {
	case err == nil:
		return request, nil
	case errors.Is(offline, registry.ErrUnavailable), errors.Is(offline, registry.ErrUntrusted):
		return none, unknown(offline, ErrRequest)
	case errors.As(err, &refused):
		return none, &Refusal{reason: fmt.Errorf("%w: %w", ErrRequest, err), code: refused.Err.Code, reply: refused.Reply}
	}
	return none, fmt.Errorf("%w: %w", ErrRequest, err)
}

func (h *Holder) fetchRequest(ctx context.Context, link oid4vp.Link) (object, walletNonce string, err error) {
	r := httpd.Request{URL: link.RequestURI, Header: http.Header{"Accept": {oid4vp.RequestMediaType}}}
	if link.RequestURIMethod == oid4vp.MethodPost {
		nonce := make([]byte, 16)
		if _, err := io.ReadFull(h.cfg.Random, nonce); err != nil {
			return "", "", err
		}
		walletNonce = base64.RawURLEncoding.EncodeToString(nonce)
		body, err := oid4vp.RequestURIPost{WalletNonce: walletNonce}.Encode()
		if err != nil {
			return "", "", err
		}
		r.Method, r.Body = http.MethodPost, []byte(body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := h.do(ctx, r, ErrRequest)
	if err != nil {
		return "", "", fmt.Errorf("fetch the request: %w", err)
	}
	switch res.Status {
	case http.StatusOK:
		return string(res.Body), walletNonce, nil
	case http.StatusNotFound, http.StatusGone:
		return "", "", fmt.Errorf("%w: fetch the request: %s", ErrGone, wireError(res))
	}
	return "", "", fmt.Errorf("%w: fetch the request: %s", ErrRefused, wireError(res))
}

// authenticationKey is a verifier's key in force for request objects.
func (h *Holder) authenticationKey(ctx context.Context, didURL string) (*keys.PublicKey, error) {
	did, fragment, err := registry.ParseDIDURL(didURL)
	if err != nil {
		return nil, err
	}
	fact, _, err := h.cfg.Registry.Key(ctx, did, fragment, time.Time{})
	if err != nil {
		return nil, err
	}
	if fact.DID != did || fact.ID != fragment || fact.Use != registry.UseAuthentication || !fact.InForce(h.cfg.Now()) {
		return nil, errors.New("holder: the key is not in force for requests")
	}
	return keys.ParseJWK(fact.JWK)
}

// registration finds the verifier on the registry and fills in who it is. X.509 alone never suffices: the certificate's key
// must be a key fact of the DID that it names. Errors: ErrUnregistered, ErrRegistry, ErrUnreachable.
func (h *Holder) registration(ctx context.Context, c *Consent) (registry.Registration, error) {
	r, err := h.registered(ctx, c.request)
	if err != nil {
		if err = unknown(err, ErrUnregistered); !errors.Is(err, ErrUnregistered) || !h.cfg.AllowUnregistered {
			return registry.Registration{}, err
		}
		c.Verifier, c.Name = c.request.ClientID, c.request.ClientID
		return registry.Registration{}, nil
	}
	c.Verifier, c.Registered, c.Purpose = string(r.DID), true, r.Purpose
	c.Name, c.PurposeText = inLanguage(r.Name, h.cfg.Language), inLanguage(r.PurposeText, h.cfg.Language)
	c.LegalBasis, c.RetentionDays = r.LegalBasis, r.RetentionDays
	return r, nil
}

func (h *Holder) registered(ctx context.Context, request oid4vp.VerifiedRequest) (registry.Registration, error) {
	var none registry.Registration
	p, err := readPointer(request)
	if err != nil {
		return none, err
	}
	key, err := h.authenticationKey(ctx, p.Kid)
	if err != nil {
		return none, err
	}
	if !key.Equal(request.Key) {
		return none, errors.New("the request was signed by another key than the organisation's")
	}
	r, _, err := h.cfg.Registry.Registration(ctx, p.did, p.Purpose, time.Time{})
	if err != nil {
		return none, err
	}
	now := h.cfg.Now()
	if r.DID != p.did || r.Purpose != p.Purpose || now.Before(r.From) || !r.Until.IsZero() && !now.Before(r.Until) {
		return none, errors.New("the registration is not in force")
	}
	return r, nil
}

// A pointer says under which registration a verifier asks.
type pointer struct {
	Kid     string `json:"kid"` // DID URL of the key that signed the request
	Purpose string `json:"purpose"`

	did registry.DID
}

// readPointer finds the one pointer of a request. The client identifier or the certificate must name the same
// organisation, and a pointer that speaks for some credentials only must speak for all that are asked for.
func readPointer(r oid4vp.VerifiedRequest) (pointer, error) {
	var data []byte
	for _, info := range r.VerifierInfo {
		if info.Format != RegistrationFormat {
			continue
		}
		if data != nil {
			return pointer{}, errors.New("the request names two registrations")
		}
		if info.CredentialIDs != nil && slices.ContainsFunc(r.DCQL.Credentials, func(c oid4vp.CredentialQuery) bool {
			return !slices.Contains(info.CredentialIDs, c.ID)
		}) {
			return pointer{}, errors.New("the registration named in the request is not for all that is asked")
		}
		data = info.Data
	}
	if data == nil {
		return pointer{}, errors.New("the request names no registration")
	}
	p, err := decodePointer(data)
	if err != nil {
		return pointer{}, err
	}
	if r.Leaf != nil && r.Leaf.HasURI(string(p.did)) || r.Client.Prefix == oid4vp.PrefixDID && r.Client.Value == string(p.did) {
		return p, nil
	}
	return pointer{}, errors.New("the request is not of the organisation that it names")
}

const maxPointer = 1024 // bytes

// decodePointer reads {"kid": DID URL, "purpose": [a-zA-Z0-9._-]{1,64}}; other members are ignored.
func decodePointer(data []byte) (pointer, error) {
	var p pointer
	malformed := errors.New("the registration named in the request is malformed")
	if len(data) > maxPointer || json.Unmarshal(data, &p) != nil {
		return pointer{}, malformed
	}
	var err error
	if p.did, _, err = registry.ParseDIDURL(p.Kid); err != nil || !registry.ValidFragment(p.Purpose) {
		return pointer{}, malformed
	}
	return p, nil
}

func inLanguage(texts map[string]string, lang string) string {
	if t, ok := texts[lang]; ok {
		return printable(t)
	}
	return printable(texts["en"])
}
