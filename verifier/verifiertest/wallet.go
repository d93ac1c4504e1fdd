package verifiertest

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
)

// Held is one credential copy in a test wallet.
type Held struct {
	Text   string
	Holder keys.Signer
	Index  uint64

	w *World
}

// Present discloses the named top-level claims, bound to audience and nonce.
func (h *Held) Present(audience, nonce string, names ...string) string {
	return h.PresentAs(sdjwt.KeyBinding{Audience: audience, Nonce: nonce, IssuedAt: h.w.Clock.Now()}, names...)
}

// PresentAs is Present with a whole key binding.
func (h *Held) PresentAs(kb sdjwt.KeyBinding, names ...string) string {
	var paths []sdjwt.Path
	for _, n := range names {
		paths = append(paths, sdjwt.Path{n})
	}
	return must(must(sdjwt.Open(h.Text)).Present(paths, kb, h.Holder))
}

// Bare discloses without a key binding.
func (h *Held) Bare(names ...string) string {
	var paths []sdjwt.Path
	for _, n := range names {
		paths = append(paths, sdjwt.Path{n})
	}
	return must(must(sdjwt.Open(h.Text)).Select(paths))
}

// A Wallet speaks OpenID4VP to a verifier's public side.
type Wallet struct {
	Client *http.Client
	Roots  []*x509.Certificate
	Facts  registry.Resolver
	Now    func() time.Time
}

// Fetch opens a link and verifies the request object that it leads to. walletNonce "" fetches by GET.
func (wl *Wallet) Fetch(link, walletNonce string) (oid4vp.VerifiedRequest, error) {
	l, err := oid4vp.ParseLink(link, func(string) bool { return true })
	if err != nil {
		return oid4vp.VerifiedRequest{}, err
	}
	status, body, err := wl.object(l.RequestURI, walletNonce)
	if err != nil {
		return oid4vp.VerifiedRequest{}, err
	}
	if status != http.StatusOK {
		return oid4vp.VerifiedRequest{}, &StatusError{status, string(body)}
	}
	return oid4vp.VerifyRequest(string(body), wl.expect(l.ClientID, walletNonce))
}

func (wl *Wallet) object(uri, walletNonce string) (int, []byte, error) {
	if walletNonce == "" {
		return wl.do(http.MethodGet, uri, "")
	}
	return wl.do(http.MethodPost, uri, url.Values{"wallet_nonce": {walletNonce}}.Encode())
}

func (wl *Wallet) expect(clientID, walletNonce string) oid4vp.RequestExpect {
	return oid4vp.RequestExpect{
		ClientID: clientID, WalletNonce: walletNonce, Now: wl.Now(), AllowHTTP: func(string) bool { return true },
		VerifyChain: func(chain [][]byte) (*keys.Leaf, error) {
			return keys.VerifyChain(chain, keys.ChainPolicy{Roots: wl.Roots, Now: wl.Now()})
		},
		ResolveDID: func(didURL string) (*keys.PublicKey, error) {
			did, id, err := registry.ParseDIDURL(didURL)
			if err != nil {
				return nil, err
			}
			k, _, err := wl.Facts.Key(context.Background(), did, id, time.Time{})
			if err != nil {
				return nil, err
			}
			return keys.ParseJWK(k.JWK)
		},
	}
}

// Answer makes the form body of a response to a request.
func Answer(r oid4vp.VerifiedRequest, presentations map[string]string, evidence []byte) string {
	token := oid4vp.VPToken{}
	for id, text := range presentations {
		token[id] = []jsontext.Value{oid4vp.StringPresentation(text)}
	}
	return must(oid4vp.Response{VPToken: token, Evidence: evidence}.Encode(r.Request))
}

// Post sends a form body and returns status and answer.
func (wl *Wallet) Post(uri, body string) (int, []byte, error) {
	return wl.do(http.MethodPost, uri, body)
}

func (wl *Wallet) do(method, uri, body string) (int, []byte, error) {
	req, err := http.NewRequest(method, uri, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := wl.Client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var out bytes.Buffer
	_, err = io.Copy(&out, io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, out.Bytes(), err
}

// A StatusError is an answer other than 200.
type StatusError struct {
	Status int
	Body   string
}

func (e *StatusError) Error() string { return http.StatusText(e.Status) }

func newClient() *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
