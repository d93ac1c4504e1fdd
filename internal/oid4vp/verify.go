package oid4vp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// ErrTerminate: the request is not trusted so far that an error could be sent to the address it names. The wallet stops
// and tells only its person.
var ErrTerminate = errors.New("oid4vp: request processing terminated")

// A Refusal is an error that the wallet may answer with: the client is authenticated and the address is its own.
type Refusal struct {
	Err   *oauth.Error
	Reply Request // where and how: ResponseURI, ResponseMode, State, ClientMetadata
}

// Error implements error.
func (r *Refusal) Error() string { return "oid4vp: request refused: " + r.Err.Error() }

// Unwrap returns the wire error.
func (r *Refusal) Unwrap() error { return r.Err }

// RequestExpect says what a wallet knows before it opens a request object.
type RequestExpect struct {
	ClientID    string // of the link, must equal the one inside
	WalletNonce string // "" when none was sent
	Audience    string // the wallet's issuer identifier when it was discovered; "": AudienceStatic
	Now         time.Time
	// ResolveDID finds the authentication key of a DID URL; nil refuses decentralized_identifier.
	ResolveDID func(didURL string) (*keys.PublicKey, error)
	// VerifyChain checks an x5c chain; nil refuses the x509 prefixes.
	VerifyChain func(chain [][]byte) (*keys.Leaf, error)
	// Preregistered finds the key of a client without a prefix; nil refuses them.
	Preregistered func(clientID, kid string) (*keys.PublicKey, error)
	// AllowHTTP says which plain-http URLs are tolerated (configured loopback origins); nil: none.
	AllowHTTP        func(url string) bool
	Formats          []string // the wallet's; nil: not checked
	TransactionTypes []string // the wallet's; nil: any transaction data is refused
	Algs             []string // nil: ES256 and EdDSA
}

// A VerifiedRequest was signed by the client it names, or (Signed false) came unsigned under redirect_uri.
type VerifiedRequest struct {
	Request
	Client      ClientID
	Signed      bool
	Leaf        *keys.Leaf      // x509 prefixes
	Kid         string          // as in the header; the DID URL of decentralized_identifier
	Key         *keys.PublicKey // nil when unsigned
	Transaction []TransactionData
}

// VerifyRequest opens a request object. Errors are a *Refusal, or wrap ErrTerminate; both carry the code of 8.5
// (oauth.CodeOf). Nothing is returned with an error.
func VerifyRequest(jwt string, e RequestExpect) (VerifiedRequest, error) {
	j, err := keys.ParseJWS(jwt, keys.Expect{Typ: keys.TypRequestObject, Algs: e.Algs, MaxBytes: maxRequestBytes})
	if err != nil {
		return VerifiedRequest{}, terminate(invalid("request object is malformed").WithParent(err))
	}
	client, err := ParseClientID(e.ClientID)
	if err != nil {
		return VerifiedRequest{}, terminate(err)
	}
	v := VerifiedRequest{Client: client, Signed: true, Kid: j.Header().Kid}
	if v.Key, v.Leaf, err = e.clientKey(client, j.Header()); err != nil {
		return VerifiedRequest{}, terminate(invalid("client is not authenticated").WithParent(err))
	}
	payload, err := j.Verify(v.Key)
	if err != nil {
		return VerifiedRequest{}, terminate(invalid("request object signature is invalid").WithParent(err))
	}
	if err := json.Unmarshal(payload, &v.Request); err != nil {
		return VerifiedRequest{}, terminate(invalid("request object is malformed").WithParent(err))
	}
	return e.check(v)
}

// VerifyUnsigned checks a request that came in the link itself: redirect_uri prefix only, and its rules.
func VerifyUnsigned(r Request, e RequestExpect) (VerifiedRequest, error) {
	client, err := ParseClientID(r.ClientID)
	if err != nil {
		return VerifiedRequest{}, terminate(err)
	}
	if client.Prefix != PrefixRedirectURI {
		return VerifiedRequest{}, terminate(invalid("this client identifier needs a signed request"))
	}
	if r.ResponseURI == "" {
		r.ResponseURI = client.Value
	}
	e.ClientID = r.ClientID
	return e.check(VerifiedRequest{Request: r, Client: client})
}

// clientKey finds the key that must have signed, by the rules of the prefix.
func (e RequestExpect) clientKey(c ClientID, h *keys.Header) (*keys.PublicKey, *keys.Leaf, error) {
	if h.JWK != nil {
		return nil, nil, errors.New("header names its own key")
	}
	switch c.Prefix {
	case PrefixX509DNS, PrefixX509Hash:
		if e.VerifyChain == nil || len(h.X5C) == 0 {
			return nil, nil, errors.New("no certificate chain, or none accepted")
		}
		if c.Prefix == PrefixX509Hash && keys.X509Hash(h.X5C[0]) != c.Value {
			return nil, nil, errors.New("client identifier is the hash of another certificate")
		}
		leaf, err := e.VerifyChain(h.X5C)
		if err != nil {
			return nil, nil, err
		}
		if c.Prefix == PrefixX509DNS && !leaf.HasDNS(c.Value) {
			return nil, nil, errors.New("client identifier is not a name of the certificate")
		}
		return leaf.Key, leaf, nil
	case PrefixDID:
		if e.ResolveDID == nil || !keyOf(h.Kid, c.Value) {
			return nil, nil, errors.New("kid is not a key of the client's DID, or none accepted")
		}
		key, err := e.ResolveDID(h.Kid)
		return key, nil, err
	case PrefixNone:
		if e.Preregistered == nil {
			return nil, nil, errors.New("no client is pre-registered")
		}
		key, err := e.Preregistered(c.Value, h.Kid)
		return key, nil, err
	}
	return nil, nil, errors.New("requests of this client cannot be signed")
}

// check applies everything after authentication: first what makes an answer possible, then what is answered.
func (e RequestExpect) check(v VerifiedRequest) (VerifiedRequest, error) {
	if v.ClientID != e.ClientID {
		return VerifiedRequest{}, terminate(invalid("client_id differs from the link's"))
	}
	if v.WalletNonce != e.WalletNonce {
		return VerifiedRequest{}, terminate(invalid("wallet_nonce is not the one sent"))
	}
	if err := e.checkTime(v.Request); err != nil {
		return VerifiedRequest{}, terminate(err)
	}
	if err := v.checkAddress(v.Client); err != nil {
		return VerifiedRequest{}, terminate(err)
	}
	if !isAllowedURL(v.ResponseURI, e.AllowHTTP) {
		return VerifiedRequest{}, terminate(invalid("response_uri must use https"))
	}
	data, err := e.checkContent(v)
	if err != nil {
		return VerifiedRequest{}, &Refusal{Err: oauth.AsError(err), Reply: v.Request}
	}
	v.Transaction = data
	return v, nil
}

func (e RequestExpect) checkContent(v VerifiedRequest) ([]TransactionData, error) {
	if v.Client.Prefix == PrefixNone && v.ClientMetadata != nil {
		return nil, oauth.NewError(oauth.InvalidClient, "client_metadata of a registered client")
	}
	if err := v.Request.checkContent(); err != nil {
		return nil, err
	}
	if err := e.checkFormats(v.Request); err != nil {
		return nil, err
	}
	if v.TransactionData == nil {
		return nil, nil
	}
	types := e.TransactionTypes
	if types == nil {
		types = []string{}
	}
	return ParseTransactionData(v.TransactionData, *v.DCQL, types)
}

// checkFormats: the wallet must know one of the formats asked for, and one that the verifier says it can read.
func (e RequestExpect) checkFormats(r Request) error {
	if e.Formats == nil {
		return nil
	}
	known := func(f string) bool { return slices.Contains(e.Formats, f) }
	asked := slices.ContainsFunc(r.DCQL.Credentials, func(c CredentialQuery) bool { return known(c.Format) })
	readable := r.ClientMetadata == nil || len(r.ClientMetadata.VPFormats) == 0 ||
		slices.ContainsFunc(slices.Collect(maps.Keys(r.ClientMetadata.VPFormats)), known)
	if !asked || !readable {
		return oauth.NewError(oauth.VPFormatsNotSupported, "none of the formats is supported")
	}
	return nil
}

func (e RequestExpect) checkTime(r Request) error {
	want := e.Audience
	if want == "" {
		want = AudienceStatic
	}
	switch {
	case r.Audience != "" && r.Audience != want:
		return invalid("request object is for another wallet")
	case r.Expires != 0 && keys.Expired(time.Unix(r.Expires, 0), e.Now):
		return invalid("request object has expired")
	case r.IssuedAt != 0 && time.Unix(r.IssuedAt, 0).After(e.Now.Add(time.Minute)):
		return invalid("request object is from the future")
	}
	return nil
}

func terminate(err error) error { return fmt.Errorf("%w: %w", ErrTerminate, err) }
