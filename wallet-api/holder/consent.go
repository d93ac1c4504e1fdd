package holder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// Consent is what a person decides on: who asks, for what, which items of which credential would leave the wallet.
// It is answered once, by Present or by Decline.
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

	mu       sync.Mutex
	ready    *ready // guarded by mu; what Present made, kept for another attempt to send it
	answered bool   // guarded by mu
}

// An Item is what leaves the wallet together: one disclosure, or one claim that every presentation of the credential shows.
type Item struct {
	Credential string `json:"credential"` // label of the type
	Path       string `json:"path"`       // dotted
	Label      string `json:"label"`
	Derived    bool   `json:"derived,omitzero"` // shown instead of a more telling value, e.g. "19 or over" instead of the date of birth
	Always     bool   `json:"always,omitzero"`  // not asked for: it cannot be kept back
}

// A Refusal is a request that this wallet refuses although it knows who asks. Nothing was sent; errors.Is finds the
// reason. Once the person has seen it, Report tells the verifier.
type Refusal struct {
	reason error
	code   oauth.Code
	detail string // result code of the house, "" for none
	reply  oid4vp.Request
}

// Error implements error.
func (r *Refusal) Error() string { return r.reason.Error() }

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.reason }

// Consent opens a presentation request link, finds out who asks and whether they may, and what would be sent. Nothing is
// sent to the verifier beyond fetching the request. The registry may be offline as long as its Resolver has facts.
// Errors: ErrRequest, ErrUnregistered, ErrRegistry, ErrOverask, ErrLegalBasis, ErrNothingFits, ErrRefused, ErrUnreachable.
func (h *Holder) Consent(ctx context.Context, link string) (*Consent, error) {
	request, err := h.openRequest(ctx, link)
	if err != nil {
		return nil, err
	}
	c := &Consent{request: request}
	registration, err := h.registration(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := checkAsked(*request.DCQL, registration, c.Registered); err != nil {
		return nil, c.refuse(err)
	}
	if c.held, err = h.all(ctx, c.Verifier); err != nil {
		return nil, err
	}
	// Those with a copy for this verifier first; each half stays newest first.
	slices.SortStableFunc(c.held, func(a, b held) int { return min(1, b.unused+b.seen) - min(1, a.unused+a.seen) })
	if c.answers, err = request.DCQL.Choose(h.matchable(c.held), false); err != nil {
		return nil, c.refuse(fmt.Errorf("%w: %w", ErrNothingFits, err))
	}
	c.Items = h.items(c)
	return c, nil
}

// refuse: whatever the wallet holds or lacks, the verifier hears what it would hear from a person who says no (D47).
func (c *Consent) refuse(reason error) error {
	r := &Refusal{reason: reason, code: oauth.AccessDenied, reply: c.request.Request}
	switch {
	case errors.Is(reason, ErrOverask):
		r.detail = schemas.CodeOverask
	case errors.Is(reason, ErrLegalBasis):
		r.detail = schemas.CodeLegalBasis
	}
	return r
}

// checkAsked compares every item asked for with the registration: outside of it, or nobody's to ask, refuses the whole;
// a missing legal basis does so after that.
func checkAsked(q oid4vp.Query, r registry.Registration, registered bool) error {
	var lacking error
	for _, c := range q.Credentials {
		if len(c.Meta.VCTValues) == 0 && registered {
			return fmt.Errorf("%w: any type of credential is asked for", ErrOverask)
		}
		paths := make([]string, 0, len(c.Claims))
		for _, claim := range c.Claims {
			paths = append(paths, dotted(claim.Path))
		}
		for _, vct := range c.Meta.VCTValues {
			if items, ok := r.Claims[vct]; registered && (!ok || !schemas.Covers(items, paths)) {
				return fmt.Errorf("%w: outside of the registration", ErrOverask)
			}
			t, ok := schemas.Lookup(vct)
			if !ok || t.VCT != vct {
				continue // a type that this wallet cannot hold
			}
			var refusal *schemas.Refusal
			if err := t.CheckRequestable(paths, r.LegalBasis); errors.As(err, &refusal) && refusal.Code == schemas.CodeLegalBasis {
				lacking = fmt.Errorf("%w: %s", ErrLegalBasis, refusal.Path)
			} else if err != nil {
				return fmt.Errorf("%w: an item that nobody may ask for", ErrOverask)
			}
		}
	}
	return lacking
}

// matchable is what DCQL sees of the wallet. Expired credentials are not offered.
func (h *Holder) matchable(list []held) []oid4vp.Credential {
	now := h.cfg.Now()
	var out []oid4vp.Credential
	for _, c := range list {
		claims, ok := c.credential.Claims().Any().(map[string]any)
		if !ok || keys.Expired(c.expires, now) {
			continue
		}
		out = append(out, oid4vp.Credential{ID: c.id, Format: oid4vp.FormatSDJWTVC, Types: []string{c.vct}, Claims: claims, HolderBound: true})
	}
	return out
}

func (c *Consent) find(id string) (held, bool) {
	i := slices.IndexFunc(c.held, func(x held) bool { return x.id == id })
	if i < 0 {
		return held{}, false
	}
	return c.held[i], true
}

// items lists all that would leave: what was asked for, in units that can be disclosed, then what always shows.
func (h *Holder) items(c *Consent) []Item {
	var items []Item
	seen := map[[2]string]bool{}
	for _, a := range c.answers {
		x, ok := c.find(a.Credential)
		t, known := schemas.Lookup(x.vct)
		if !ok || !known {
			continue // never: only known types are stored
		}
		add := func(path string, always bool) {
			if seen[[2]string{x.id, path}] {
				return
			}
			seen[[2]string{x.id, path}] = true
			item := Item{Credential: t.Label.In(h.cfg.Language), Path: path, Label: path, Always: always}
			if claim, ok := t.Claim(path); ok {
				item.Label, item.Derived = claim.Label.In(h.cfg.Language), claim.Class == schemas.Derived
			}
			items = append(items, item)
		}
		for _, p := range a.Disclose {
			add(unit(t, dotted(p)), false)
		}
		for _, m := range x.credential.Claims().Members() {
			if !m.SD && !protocolClaim(t, m.Name) {
				add(m.Name, true)
			}
		}
	}
	return items
}

// unit is the nearest disclosure that carries a path: what lies in it leaves together.
func unit(t *schemas.Type, path string) string {
	for p := schemas.SplitPath(path); len(p) > 0; p = p[:len(p)-1] {
		if at := schemas.FormatPath(p); t.Disclosable(at) {
			return at
		}
	}
	return path
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
