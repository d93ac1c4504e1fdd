package oid4vp

import (
	"errors"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/oauth"
)

// LinkScheme opens any wallet (13.1).
const LinkScheme = "openid4vp://"

// A Link is what a QR code or a button carries: a client_id with a request_uri, or with the request itself.
type Link struct {
	ClientID         string
	RequestURI       string
	RequestURIMethod string   // "", "get" or "post"
	RequestObject    string   // `request`, by value
	Unsigned         *Request // plain parameters
}

// Values of request_uri_method.
const (
	MethodGet  = "get"
	MethodPost = "post"
)

const maxLinkBytes = 128 << 10

// URL is the complete link under base, usually LinkScheme, or the https endpoint of a web wallet. Only links with a
// request_uri or a request object are made here; unsigned requests are read, never written.
func (l Link) URL(base string) (string, error) {
	q := url.Values{"client_id": {l.ClientID}}
	switch {
	case l.ClientID == "" || (l.RequestURI == "") == (l.RequestObject == ""):
		return "", errors.New("oid4vp: link needs a client_id and exactly one of request_uri and request")
	case l.RequestURI != "":
		q.Set("request_uri", l.RequestURI)
		if l.RequestURIMethod != "" {
			q.Set("request_uri_method", l.RequestURIMethod)
		}
	default:
		q.Set("request", l.RequestObject)
	}
	return joinQuery(base, q.Encode())
}

// ParseLink reads a link of any scheme: exactly one of request_uri, request and plain parameters. allowHTTP as in
// RequestExpect. Errors: invalid_request_uri_method, invalid_request.
func ParseLink(link string, allowHTTP func(url string) bool) (Link, error) {
	_, query, ok := strings.Cut(link, "?")
	if !ok || len(link) > maxLinkBytes || strings.Contains(query, "#") {
		return Link{}, invalid("link has no query, a fragment or is too long")
	}
	f, err := oauth.DecodeForm(query, oauth.FormLimits{Body: maxLinkBytes})
	if err != nil {
		return Link{}, err
	}
	l := Link{
		ClientID: f.Get("client_id"), RequestURI: f.Get("request_uri"),
		RequestURIMethod: f.Get("request_uri_method"), RequestObject: f.Get("request"),
	}
	if _, err := ParseClientID(l.ClientID); err != nil {
		return Link{}, err
	}
	switch {
	case l.RequestURIMethod != "" && l.RequestURIMethod != MethodGet && l.RequestURIMethod != MethodPost:
		return Link{}, oauth.NewError(oauth.InvalidRequestURIMethod, "request_uri_method is neither get nor post")
	case l.RequestURIMethod != "" && l.RequestURI == "":
		return Link{}, invalid("request_uri_method without request_uri")
	case l.RequestURI != "" && l.RequestObject != "":
		return Link{}, invalid("request and request_uri exclude each other")
	case l.RequestURI != "" && !isAllowedURL(l.RequestURI, allowHTTP):
		return Link{}, invalid("request_uri must be an https URL")
	}
	if l.RequestURI == "" && l.RequestObject == "" {
		l.Unsigned, err = requestOf(f)
	}
	if err != nil {
		return Link{}, err
	}
	return l, nil
}

// requestOf reads plain parameters; objects are JSON text (5.1).
func requestOf(f oauth.Form) (*Request, error) {
	r := &Request{
		ClientID: f.Get("client_id"), ResponseType: f.Get("response_type"), ResponseMode: f.Get("response_mode"),
		ResponseURI: f.Get("response_uri"), RedirectURI: f.Get("redirect_uri"), Nonce: f.Get("nonce"),
		State: f.Get("state"), Scope: f.Get("scope"),
	}
	for name, into := range map[string]any{
		"dcql_query": &r.DCQL, "client_metadata": &r.ClientMetadata, "transaction_data": &r.TransactionData,
		"verifier_info": &r.VerifierInfo, "dojang_evidence": &r.Evidence,
	} {
		if !f.Has(name) {
			continue
		}
		if err := json.Unmarshal([]byte(f.Get(name)), into); err != nil {
			return nil, invalid("a parameter is not the JSON it should be").WithParent(err)
		}
	}
	return r, nil
}

// joinQuery puts a query behind a scheme or an endpoint that may have one already.
func joinQuery(base, query string) (string, error) {
	if base == "" || !printable(base) || strings.Contains(base, "#") || !strings.Contains(base, ":") {
		return "", errors.New("oid4vp: link base is not a URL without fragment")
	}
	switch {
	case strings.HasSuffix(base, "?") || strings.HasSuffix(base, "&"):
		return base + query, nil
	case strings.Contains(base, "?"):
		return base + "&" + query, nil
	}
	return base + "?" + query, nil
}
