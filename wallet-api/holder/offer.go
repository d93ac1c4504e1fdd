package holder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/schemas"
)

// An Offer is what a person sees before accepting: who offers what.
type Offer struct {
	Issuer       string // credential issuer identifier
	IssuerName   string // as the issuer calls itself; the registry decides whether that may be believed
	Types        []OfferedType
	NeedsTxCode  bool
	TxCodeLength int
	TxCodeHint   string

	code     string
	metadata oid4vci.Metadata
	as       oauth.ServerMetadata
}

// An OfferedType is one credential configuration of an offer.
type OfferedType struct {
	Configuration string
	VCT           string
	Label         string
}

// Offer reads a credential offer link, by value or by reference, and the issuer's metadata. Nothing is accepted yet.
// Errors: ErrOffer, ErrRefused, ErrUnreachable.
func (h *Holder) Offer(ctx context.Context, link string) (*Offer, error) {
	parsed, err := oid4vci.ParseOfferLink(link, h.cfg.AllowHTTP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	offered := parsed.Offer
	if offered == nil {
		body, err := h.get(ctx, parsed.URI)
		if err != nil {
			return nil, fmt.Errorf("fetch the offer: %w", err)
		}
		o, err := oid4vci.DecodeOffer(body, h.cfg.AllowHTTP)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOffer, err)
		}
		offered = &o
	}
	grant := offered.Grants.PreAuthorizedCode
	if grant == nil {
		return nil, fmt.Errorf("%w: it needs a flow that this wallet does not have", ErrOffer)
	}
	body, err := h.get(ctx, oid4vci.CredentialIssuerURL(offered.CredentialIssuer))
	if err != nil {
		return nil, fmt.Errorf("fetch the issuer's metadata: %w", err)
	}
	o := &Offer{Issuer: offered.CredentialIssuer, code: grant.PreAuthorizedCode}
	if o.metadata, err = oid4vci.DecodeMetadata(body, offered.CredentialIssuer, h.cfg.AllowHTTP); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOffer, err)
	}
	if grant.TxCode != nil {
		o.NeedsTxCode, o.TxCodeLength, o.TxCodeHint = true, grant.TxCode.Length, grant.TxCode.Description
	}
	if err := usable(o.metadata); err != nil {
		return nil, err
	}
	o.IssuerName, o.TxCodeHint = h.displayName(o.metadata.Display, o.Issuer), printable(o.TxCodeHint)
	if len(offered.CredentialConfigurationIDs) > maxOffered {
		return nil, fmt.Errorf("%w: too many credentials at once", ErrOffer)
	}
	for _, id := range offered.CredentialConfigurationIDs {
		t, err := h.offeredType(o.metadata, id)
		if err != nil {
			return nil, err
		}
		o.Types = append(o.Types, t)
	}
	if o.as, err = h.authorizationServer(ctx, o.metadata, grant.AuthorizationServer); err != nil {
		return nil, err
	}
	return o, nil
}

// maxOffered bounds what one offer makes this wallet do: ten keys and proofs a type.
const maxOffered = 8

// usable: what this wallet cannot answer is refused before the code is burned.
func usable(m oid4vci.Metadata) error {
	switch {
	case m.NonceEndpoint == "":
		return fmt.Errorf("%w: the issuer takes proofs without a nonce", ErrOffer) // I23: none is ever sent
	case m.ResponseEncryption != nil && m.ResponseEncryption.Required, m.RequestEncryption != nil && m.RequestEncryption.Required:
		return fmt.Errorf("%w: the issuer demands encrypted messages", ErrOffer)
	}
	return nil
}

func (h *Holder) offeredType(m oid4vci.Metadata, id string) (OfferedType, error) {
	c, ok := m.Configurations[id]
	if !ok || c.Format != oid4vp.FormatSDJWTVC {
		return OfferedType{}, fmt.Errorf("%w: a configuration is unknown or in a format that this wallet does not have", ErrOffer)
	}
	known, ok := schemas.Lookup(c.VCT)
	if !ok || known.VCT != c.VCT {
		return OfferedType{}, fmt.Errorf("%w: a credential type that this wallet does not know", ErrOffer)
	}
	proof, ok := c.ProofTypes["jwt"]
	if !ok || !slices.Contains(proof.SigningAlgs, keys.ES256) || proof.KeyAttestationsRequired != nil {
		return OfferedType{}, fmt.Errorf("%w: the issuer demands a proof that this wallet cannot make", ErrOffer)
	}
	return OfferedType{Configuration: id, VCT: c.VCT, Label: known.Label.In(h.cfg.Language)}, nil
}

// authorizationServer finds the server's metadata (RFC 8414). It must be one that the credential issuer names, and speak
// for itself: a code goes to nobody else (mix-up).
func (h *Holder) authorizationServer(ctx context.Context, m oid4vci.Metadata, wanted string) (oauth.ServerMetadata, error) {
	var as oauth.ServerMetadata
	server := m.CredentialIssuer
	switch {
	case wanted != "" && slices.Contains(m.AuthorizationServers, wanted):
		server = wanted
	case wanted != "":
		return as, fmt.Errorf("%w: its authorization server is not in the metadata", ErrOffer)
	case len(m.AuthorizationServers) > 0:
		server = m.AuthorizationServers[0]
	}
	body, err := h.get(ctx, oid4vci.AuthorizationServerURL(server))
	if err != nil {
		return as, fmt.Errorf("fetch the authorization server's metadata: %w", err)
	}
	if err := json.Unmarshal(body, &as); err != nil || as.Issuer != server || as.TokenEndpoint == "" {
		return as, fmt.Errorf("%w: the authorization server's metadata do not fit", ErrOffer)
	}
	return as, nil
}

// displayName is what a party calls itself in the person's language: text for a screen, nothing more.
func (h *Holder) displayName(display []oid4vci.Display, fallback string) string {
	for _, d := range display {
		if lang, _, _ := strings.Cut(d.Locale, "-"); lang == h.cfg.Language && d.Name != "" {
			return printable(d.Name)
		}
	}
	if len(display) > 0 && display[0].Name != "" {
		return printable(display[0].Name)
	}
	return fallback
}

const maxShown = 300 // characters

// printable drops what could rewrite a screen: control characters, escapes, directional marks (THREATS J02).
func printable(s string) string {
	n := 0
	return strings.Map(func(r rune) rune {
		if n++; n > maxShown || r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

func (h *Holder) get(ctx context.Context, url string) ([]byte, error) {
	res, err := h.do(ctx, httpd.Request{URL: url, Header: http.Header{"Accept": {"application/json"}}}, ErrOffer)
	if err != nil {
		return nil, err
	}
	switch res.Status {
	case http.StatusOK:
		return res.Body, nil
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%w: status %d", ErrGone, res.Status)
	}
	return nil, fmt.Errorf("%w: status %d", ErrRefused, res.Status)
}

// do sends one request; a redirect is an answer like any other (D48). blame is the error when the URL is not one that we
// fetch or its answer is too long: whoever named it is to blame.
func (h *Holder) do(ctx context.Context, r httpd.Request, blame error) (*httpd.Response, error) {
	res, err := h.cfg.HTTP.Do(ctx, r)
	switch {
	case errors.Is(err, httpd.ErrUnreachable):
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, httpd.ErrForbiddenTarget), errors.Is(err, httpd.ErrTooLarge):
		return nil, fmt.Errorf("%w: %w", blame, err)
	}
	return res, err
}
