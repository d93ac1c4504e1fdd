package oid4vp

import "errors"

// ErrTerminate: the request cannot be trusted so far that an error could be sent to the address it names.
var ErrTerminate = errors.New("oid4vp: request processing terminated")

// LinkScheme opens any wallet (13.1).
const LinkScheme = "openid4vp://"

// A Link is what a QR code or a button carries: a client_id with a request_uri, or with the request itself.
type Link struct {
	ClientID         string
	RequestURI       string
	RequestURIMethod string // "", "get" or "post"
	RequestObject    string // `request`, by value
	Unsigned         *Request
}

// URL is the complete link under base, usually LinkScheme, or the https endpoint of a web wallet.
func (l Link) URL(base string) (string, error) { return "", errTODO }

// ParseLink reads a link of any scheme: exactly one of request_uri, request and plain parameters. Errors:
// invalid_request_uri_method, invalid_request.
func ParseLink(link string, allowHTTP func(url string) bool) (Link, error) { return Link{}, errTODO }

// VerifyUnsigned checks a request that came in the link itself: redirect_uri prefix only, and its rules.
func VerifyUnsigned(r Request, e RequestExpect) (VerifiedRequest, error) {
	return VerifiedRequest{}, errTODO
}
