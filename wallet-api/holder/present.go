package holder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sdjwt"
)

// Sent is what became of a submission on our side. What the verifier decides it does not tell the wallet.
type Sent struct {
	ID          string // of the line in the person's history
	RedirectURI string // where the browser should go on, "" for nowhere
	Reused      bool   // a copy that this verifier had seen before was shown again: it can link both visits
	Stapled     bool
}

// ready is a presentation that was made and may be sent, also again when it did not arrive.
type ready struct {
	sent     Sent
	response oid4vp.Response
}

// Present sends what the consent shows. The copies are marked for this verifier before anything leaves; a failure after
// that costs the copies, never their unlinkability. After ErrUnreachable it may be called again: the same copies are sent.
// Errors: ErrNoCopies, ErrRequest (answered before, or its time is over), ErrRefused, ErrUnreachable.
func (h *Holder) Present(ctx context.Context, c *Consent) (Sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := h.open(c); err != nil {
		return Sent{}, err
	}
	if c.ready == nil {
		var err error
		if c.ready, err = h.prepare(ctx, c); err != nil {
			return Sent{}, err
		}
	}
	s := c.ready.sent
	redirect, err := h.post(ctx, c.request.Request, c.ready.response)
	switch {
	case errors.Is(err, ErrRefused):
		c.answered = true
		return s, errors.Join(err, h.outcome(ctx, s.ID, outcomeRefused))
	case err != nil:
		return s, err
	}
	c.answered, s.RedirectURI = true, redirect
	return s, h.outcome(ctx, s.ID, outcomeSent)
}

// open: a request is answered once and in time; personal data for one that is over would leave for nothing.
func (h *Holder) open(c *Consent) error {
	switch {
	case c.answered:
		return fmt.Errorf("%w: it was answered before", ErrRequest)
	case c.request.Expires != 0 && keys.Expired(time.Unix(c.request.Expires, 0), h.cfg.Now()):
		return fmt.Errorf("%w: its time is over", ErrRequest)
	}
	return nil
}

// prepare marks the copies, then signs.
func (h *Holder) prepare(ctx context.Context, c *Consent) (*ready, error) {
	line, err := h.line(c)
	if err != nil {
		return nil, err
	}
	var credentials []string
	for _, a := range c.answers {
		if !slices.Contains(credentials, a.Credential) {
			credentials = append(credentials, a.Credential)
		}
	}
	copies, err := h.spend(ctx, line, c.Verifier, credentials)
	if err != nil {
		return nil, err
	}
	r := &ready{sent: Sent{ID: line.ID}, response: oid4vp.Response{VPToken: oid4vp.VPToken{}, State: c.request.State}}
	for _, a := range c.answers {
		one := copies[a.Credential]
		r.sent.Reused = r.sent.Reused || one.reused
		token, err := one.token.Present(concrete(a.Disclose), sdjwt.KeyBinding{
			Audience: c.request.ClientID, Nonce: c.request.Nonce, IssuedAt: h.cfg.Now(),
		}, one.key)
		if err != nil {
			return nil, fmt.Errorf("make the presentation: %w", err)
		}
		r.response.VPToken[a.QueryID] = append(r.response.VPToken[a.QueryID], oid4vp.StringPresentation(token))
		if c.request.Evidence == nil || r.sent.Stapled {
			continue // never unasked; one Evidence a response, for the first credential that has any
		}
		if x, ok := c.find(a.Credential); ok {
			// Best effort: a verifier that gets none looks for itself.
			if r.response.Evidence, err = h.staple(ctx, x, one, c.request.Evidence); err == nil {
				r.sent.Stapled = true
			}
		}
	}
	return r, nil
}

// Decline tells the verifier that the person said no. Errors: ErrRequest (answered before), ErrRefused, ErrUnreachable.
func (h *Holder) Decline(ctx context.Context, c *Consent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered || c.ready != nil {
		return fmt.Errorf("%w: it was answered before", ErrRequest)
	}
	line, err := h.line(c)
	if err != nil {
		return err
	}
	if err := h.declined(ctx, line); err != nil {
		return err
	}
	c.answered = true
	_, err = h.post(ctx, c.request.Request, oid4vp.Response{Error: oauth.NewError(oauth.AccessDenied, "")})
	return err
}

// Report tells the verifier that its request was refused. Call it with Consent's error once the person has seen it, never
// before: the time that it takes must say nothing about the wallet (D47). Errors that are no *Refusal are not reported,
// which is no error.
func (h *Holder) Report(ctx context.Context, refused error) error {
	var r *Refusal
	if !errors.As(refused, &r) {
		return nil
	}
	_, err := h.post(ctx, r.reply, oid4vp.Response{Error: oauth.NewError(r.code, r.detail)})
	return err
}

func (h *Holder) post(ctx context.Context, request oid4vp.Request, response oid4vp.Response) (string, error) {
	body, err := response.Encode(request)
	if err != nil {
		return "", fmt.Errorf("encode the response: %w", err)
	}
	res, err := h.do(ctx, httpd.Request{
		Method: http.MethodPost, URL: request.ResponseURI, Body: []byte(body),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	}, ErrRequest)
	if err != nil {
		return "", fmt.Errorf("send the answer: %w", err)
	}
	if res.Status != http.StatusOK {
		return "", fmt.Errorf("%w: %s", ErrRefused, wireError(res))
	}
	answer, err := oid4vp.DecodePostAnswer(res.Body, h.cfg.AllowHTTP)
	if err != nil {
		return "", nil // an answer that we cannot use leads nowhere; the presentation was taken
	}
	return answer.RedirectURI, nil
}

// concrete turns the DCQL engine's paths into the format room's.
func concrete(paths []oid4vp.Path) []sdjwt.Path {
	out := make([]sdjwt.Path, len(paths))
	for i, p := range paths {
		for _, s := range p {
			if name, ok := s.Name(); ok {
				out[i] = append(out[i], name)
			} else if index, ok := s.Index(); ok {
				out[i] = append(out[i], index)
			}
		}
	}
	return out
}
