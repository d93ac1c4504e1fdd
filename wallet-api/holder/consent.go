package holder

import (
	"context"
	"crypto/x509"
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
	"github.com/dojang-id/dojang/schemas"
)

// RegistrationFormat names the verifier_info element in which our verifiers say under which of their registrations they
// ask (OpenID4VP 5.11). The data are only a pointer, {"kid", "purpose"}: kid is the DID URL of the signing key;
// what counts is on the registry.
const RegistrationFormat = "dojang_registration"

// Consent is what a person decides on: who asks, for what, which items of which credential would leave the wallet.
type Consent struct {
	Verifier      string // DID, or the client identifier of an unregistered one
	Name          string
	Purpose       string // registered code
	PurposeText   string
	LegalBasis    []string
	RetentionDays int
	Registered    bool
	Items         []Item

	request oid4vp.VerifiedRequest
	answers []oid4vp.Answer
	held    []held
}

// An Item is one claim that would be shown.
type Item struct {
	Credential string // label of the type
	Path       string // dotted
	Label      string
	Derived    bool // shown instead of a more telling value, e.g. "19 or over" instead of the date of birth
}

// Consent opens a presentation request link, finds out who asks and whether they may, and what would be sent. Nothing is
// sent to the verifier beyond fetching the request. Errors: ErrRequest, ErrUnregistered, ErrOverask, ErrLegalBasis,
// ErrNothingFits, ErrUnreachable.
func (h *Holder) Consent(ctx context.Context, link string) (*Consent, error) {
	request, err := h.openRequest(ctx, link)
	if err != nil {
		return nil, err
	}
	if request.DCQL == nil || (request.ResponseMode != oid4vp.ModeDirectPost && request.ResponseMode != oid4vp.ModeDirectPostJWT) {
		return nil, fmt.Errorf("%w: it asks in a way that this wallet does not know", ErrRequest)
	}
	c := &Consent{Verifier: request.ClientID, request: request}
	registration, err := h.registration(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := checkAsked(*request.DCQL, registration); err != nil {
		return nil, err
	}
	if c.held, err = h.all(ctx); err != nil {
		return nil, err
	}
	if c.answers, err = request.DCQL.Choose(h.matchable(c.held), false); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNothingFits, err)
	}
	c.Items = h.items(c)
	return c, nil
}

// openRequest fetches and verifies the request object.
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
	request, err := oid4vp.VerifyRequest(object, oid4vp.RequestExpect{
		ClientID: link.ClientID, WalletNonce: walletNonce, Now: h.cfg.Now(), AllowHTTP: h.cfg.AllowHTTP,
		Formats:     []string{"dc+sd-jwt"},
		ResolveDID:  func(didURL string) (*keys.PublicKey, error) { return h.authenticationKey(ctx, didURL) },
		VerifyChain: func(chain [][]byte) (*keys.Leaf, error) { return readLeaf(chain, h.cfg.Now()) },
	})
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return request, nil
}

func (h *Holder) fetchRequest(ctx context.Context, link oid4vp.Link) (object, walletNonce string, err error) {
	r := httpd.Request{URL: link.RequestURI, Header: http.Header{"Accept": {oid4vp.RequestMediaType}}}
	if link.RequestURIMethod == "post" {
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
	res, err := h.do(ctx, r)
	if err != nil {
		return "", "", fmt.Errorf("fetch the request: %w", err)
	}
	if res.Status != http.StatusOK {
		return "", "", fmt.Errorf("%w: fetch the request: %s", ErrRefused, wireError(res))
	}
	return string(res.Body), walletNonce, nil
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
	if fact.Use != registry.UseAuthentication || !fact.InForce(h.cfg.Now()) {
		return nil, errors.New("holder: the key is not in force for requests")
	}
	return keys.ParseJWK(fact.JWK)
}

// registration finds the verifier on the registry and fills in who it is. X.509 alone never suffices: the certificate's key
// must be a key fact of the DID that it names.
func (h *Holder) registration(ctx context.Context, c *Consent) (registry.Registration, error) {
	unregistered := func(err error) (registry.Registration, error) {
		switch {
		case errors.Is(err, registry.ErrUnavailable):
			return registry.Registration{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
		case h.cfg.AllowUnregistered:
			c.Name = c.request.ClientID
			return registry.Registration{}, nil
		}
		return registry.Registration{}, fmt.Errorf("%w: %w", ErrUnregistered, err)
	}
	p, err := readPointer(c.request)
	if err != nil {
		return unregistered(err)
	}
	key, err := h.authenticationKey(ctx, p.Kid)
	if err != nil {
		return unregistered(err)
	}
	if !key.Equal(c.request.Key) {
		return unregistered(errors.New("the request was signed by another key than the organisation's"))
	}
	did, purpose := p.did, p.Purpose
	r, _, err := h.cfg.Registry.Registration(ctx, did, purpose, time.Time{})
	if err != nil {
		return unregistered(err)
	}
	if now := h.cfg.Now(); now.Before(r.From) || !r.Until.IsZero() && !now.Before(r.Until) {
		return unregistered(errors.New("the registration is not in force"))
	}
	c.Verifier, c.Registered, c.Purpose = string(did), true, purpose
	c.Name, c.PurposeText = inLanguage(r.Name, h.cfg.Language), inLanguage(r.PurposeText, h.cfg.Language)
	c.LegalBasis, c.RetentionDays = r.LegalBasis, r.RetentionDays
	return r, nil
}

// A pointer says under which registration a verifier asks.
type pointer struct {
	Kid     string `json:"kid"` // DID URL of the key that signed the request
	Purpose string `json:"purpose"`

	did registry.DID
}

// readPointer finds the pointer; the client identifier or the certificate must name the same organisation.
func readPointer(r oid4vp.VerifiedRequest) (pointer, error) {
	for _, info := range r.VerifierInfo {
		if info.Format != RegistrationFormat {
			continue
		}
		var p pointer
		if err := json.Unmarshal(info.Data, &p); err != nil {
			return p, errors.New("the registration named in the request is malformed")
		}
		var err error
		if p.did, _, err = registry.ParseDIDURL(p.Kid); err != nil {
			return p, err
		}
		named := r.Leaf != nil && r.Leaf.HasURI(string(p.did)) || r.Client.Prefix == oid4vp.PrefixDID && r.Client.Value == string(p.did)
		if !named || p.Purpose == "" {
			return p, errors.New("the request is not of the organisation that it names")
		}
		return p, nil
	}
	return pointer{}, errors.New("the request names no registration")
}

// readLeaf reads the certificate of a request. No root is asked: the wallet believes the registry, so registration compares
// the certified key with the organisation's key fact.
func readLeaf(chain [][]byte, now time.Time) (*keys.Leaf, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, errors.New("the certificate cannot be read")
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, errors.New("the certificate is not valid now")
	}
	key, err := keys.NewPublicKey(cert.PublicKey)
	if err != nil {
		return nil, err
	}
	return &keys.Leaf{Certificate: cert, Key: key}, nil
}

// checkAsked compares every item asked for with the registration: outside of it, or nobody's to ask, refuses the whole.
func checkAsked(q oid4vp.Query, r registry.Registration) error {
	for _, c := range q.Credentials {
		for _, vct := range c.Meta.VCTValues {
			t, ok := schemas.Lookup(vct)
			if !ok {
				continue // a type that this wallet cannot hold
			}
			paths := make([]string, 0, len(c.Claims))
			for _, claim := range c.Claims {
				paths = append(paths, dotted(claim.Path))
			}
			var refusal *schemas.Refusal
			if err := t.CheckRequestable(paths, r.LegalBasis); errors.As(err, &refusal) && refusal.Code == schemas.CodeLegalBasis {
				return fmt.Errorf("%w: %s", ErrLegalBasis, refusal.Path)
			} else if err != nil {
				return ErrOverask
			}
			if r.Claims != nil && !schemas.Covers(r.Claims[vct], paths) {
				return ErrOverask
			}
		}
	}
	return nil
}

// matchable is what DCQL sees of the wallet. Expired credentials are not offered.
func (h *Holder) matchable(list []held) []oid4vp.Credential {
	now := h.cfg.Now()
	var out []oid4vp.Credential
	for _, c := range list {
		claims, ok := c.credential.Claims().Any().(map[string]any)
		if !ok || !c.expires.IsZero() && keys.Expired(c.expires, now) {
			continue
		}
		out = append(out, oid4vp.Credential{ID: c.id, Format: "dc+sd-jwt", Types: []string{c.vct}, Claims: claims, HolderBound: true})
	}
	return out
}

func (h *Holder) items(c *Consent) []Item {
	var items []Item
	for _, a := range c.answers {
		i := slices.IndexFunc(c.held, func(x held) bool { return x.id == a.Credential })
		if i < 0 {
			continue
		}
		t, known := schemas.Lookup(c.held[i].vct)
		label := c.held[i].vct
		if known {
			label = t.Label.In(h.cfg.Language)
		}
		for _, p := range a.Disclose {
			item := Item{Credential: label, Path: dotted(p), Label: dotted(p)}
			if known {
				if claim, ok := t.Claim(item.Path); ok {
					item.Label, item.Derived = claim.Label.In(h.cfg.Language), claim.Class == schemas.Derived
				}
			}
			items = append(items, item)
		}
	}
	return items
}

// dotted writes a path as schemas do: indices and "all" become "[]".
func dotted(p oid4vp.Path) string {
	elements := make([]any, len(p))
	for i, s := range p {
		if name, ok := s.Name(); ok {
			elements[i] = name
		}
	}
	return schemas.FormatPath(elements)
}

func inLanguage(texts map[string]string, lang string) string {
	if t, ok := texts[lang]; ok {
		return t
	}
	return texts["en"]
}
