package holder

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/dojang-id/dojang/internal/httpd"
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

// Present sends what the consent shows. The copy is marked for this verifier before anything leaves; a failure after that
// costs the copy, never its unlinkability. Errors: ErrNoCopies, ErrRefused, ErrUnreachable.
func (h *Holder) Present(ctx context.Context, c *Consent) (Sent, error) {
	id, err := h.newID()
	if err != nil {
		return Sent{}, err
	}
	s := Sent{ID: id}
	response := oid4vp.Response{VPToken: oid4vp.VPToken{}, State: c.request.State}
	for _, a := range c.answers {
		i := slices.IndexFunc(c.held, func(x held) bool { return x.id == a.Credential })
		if i < 0 {
			return Sent{}, ErrNothingFits
		}
		one, err := h.spend(ctx, a.Credential, c.Verifier)
		if err != nil {
			return Sent{}, err
		}
		s.Reused = s.Reused || one.reused
		token, err := one.token.Present(concrete(a.Disclose), sdjwt.KeyBinding{
			Audience: c.request.ClientID, Nonce: c.request.Nonce, IssuedAt: h.cfg.Now(),
		}, one.key)
		if err != nil {
			return Sent{}, fmt.Errorf("make the presentation: %w", err)
		}
		response.VPToken[a.QueryID] = append(response.VPToken[a.QueryID], oid4vp.StringPresentation(token))
		if c.request.Evidence != nil && response.Evidence == nil {
			// Best effort: a verifier that gets none looks for itself.
			if response.Evidence, err = h.staple(ctx, c.held[i], one.status, c.request.Evidence); err == nil {
				s.Stapled = true
			}
		}
	}
	if err := h.record(ctx, id, c, "prepared"); err != nil {
		return Sent{}, err
	}
	if s.RedirectURI, err = h.post(ctx, c, response); err != nil {
		return Sent{}, err
	}
	return s, h.record(ctx, id, c, "sent")
}

// Decline tells the verifier that the person said no.
func (h *Holder) Decline(ctx context.Context, c *Consent) error {
	id, err := h.newID()
	if err != nil {
		return err
	}
	if err := h.record(ctx, id, c, "declined"); err != nil {
		return err
	}
	_, err = h.post(ctx, c, oid4vp.Response{State: c.request.State, Error: oauth.NewError(oauth.AccessDenied, "")})
	return err
}

func (h *Holder) post(ctx context.Context, c *Consent, response oid4vp.Response) (string, error) {
	body, err := response.Encode(c.request.Request)
	if err != nil {
		return "", fmt.Errorf("encode the response: %w", err)
	}
	res, err := h.do(ctx, httpd.Request{
		Method: http.MethodPost, URL: c.request.ResponseURI, Body: []byte(body),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	})
	if err != nil {
		return "", fmt.Errorf("send the presentation: %w", err)
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
