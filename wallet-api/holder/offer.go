package holder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
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
	server   string // authorization server's issuer identifier
	token    string // its token endpoint
}

// An OfferedType is one credential configuration of an offer.
type OfferedType struct {
	Configuration string
	VCT           string
	Label         string
}

// Offer reads a credential offer link, by value or by reference, and the issuer's metadata. Nothing is accepted yet.
// Errors: ErrOffer, ErrUnreachable.
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
	o.IssuerName = h.displayName(o.metadata.Display, o.Issuer)
	for _, id := range offered.CredentialConfigurationIDs {
		t, err := h.offeredType(o.metadata, id)
		if err != nil {
			return nil, err
		}
		o.Types = append(o.Types, t)
	}
	o.server, o.token, err = h.tokenEndpoint(ctx, o.metadata, grant.AuthorizationServer)
	return o, err
}

func (h *Holder) offeredType(m oid4vci.Metadata, id string) (OfferedType, error) {
	c, ok := m.Configurations[id]
	if !ok || c.Format != "dc+sd-jwt" {
		return OfferedType{}, fmt.Errorf("%w: a configuration is unknown or in a format that this wallet does not have", ErrOffer)
	}
	t := OfferedType{Configuration: id, VCT: c.VCT, Label: c.VCT}
	if known, ok := schemas.Lookup(c.VCT); ok {
		t.Label = known.Label.In(h.cfg.Language)
	} else if c.CredentialMetadata != nil {
		t.Label = h.displayName(c.CredentialMetadata.Display, c.VCT)
	}
	return t, nil
}

// tokenEndpoint finds the authorization server's metadata (RFC 8414); its issuer must be the one that was asked.
func (h *Holder) tokenEndpoint(ctx context.Context, m oid4vci.Metadata, wanted string) (server, endpoint string, err error) {
	server = m.CredentialIssuer
	switch {
	case wanted != "" && slices.Contains(m.AuthorizationServers, wanted):
		server = wanted
	case wanted != "":
		return "", "", fmt.Errorf("%w: its authorization server is not in the metadata", ErrOffer)
	case len(m.AuthorizationServers) > 0:
		server = m.AuthorizationServers[0]
	}
	body, err := h.get(ctx, oid4vci.AuthorizationServerURL(server))
	if err != nil {
		return "", "", fmt.Errorf("fetch the authorization server's metadata: %w", err)
	}
	var as oauth.ServerMetadata
	if err := json.Unmarshal(body, &as); err != nil || as.Issuer != server || as.TokenEndpoint == "" {
		return "", "", fmt.Errorf("%w: the authorization server's metadata do not fit", ErrOffer)
	}
	return server, as.TokenEndpoint, nil
}

func (h *Holder) displayName(display []oid4vci.Display, fallback string) string {
	for _, d := range display {
		if len(d.Locale) >= 2 && d.Locale[:2] == h.cfg.Language && d.Name != "" {
			return d.Name
		}
	}
	if len(display) > 0 && display[0].Name != "" {
		return display[0].Name
	}
	return fallback
}

func (h *Holder) get(ctx context.Context, url string) ([]byte, error) {
	res, err := h.do(ctx, httpd.Request{URL: url})
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrRefused, res.Status)
	}
	return res.Body, nil
}

// do sends one request; no redirect is followed (D48).
func (h *Holder) do(ctx context.Context, r httpd.Request) (*httpd.Response, error) {
	res, err := h.cfg.HTTP.Do(ctx, r)
	if errors.Is(err, httpd.ErrUnreachable) {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return res, err
}
