package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// A RequestInput is what a company asks for. Zero values are the defaults.
type RequestInput struct {
	Policy         string
	ClientIDPrefix string // x509_hash (default), x509_san_dns, decentralized_identifier
	ResponseMode   string // direct_post.jwt (default), direct_post
	CrossDevice    bool   // shown on another device: marked, 120 s, only where the policy allows
	Evidence       *bool  // ask the wallet to staple; nil: what the policy says
	// RedirectURI brings the citizen's browser back with a response_code that Redeem takes together with Session: the
	// company's name for the browser session that it made the request in. Both or neither.
	RedirectURI string
	Session     string
}

// A Requested transaction, for a link or a QR code.
type Requested struct {
	ID        string
	Link      string // openid4vp://?client_id=…&request_uri=…
	ExpiresAt time.Time
}

// secret is what only this desk and the wallet know of a transaction.
type secret struct {
	State string         `json:"state"`
	Nonce string         `json:"nonce"`
	Key   jsontext.Value `json:"key,omitzero"` // private JWK of direct_post.jwt
}

// Request opens a transaction. Nothing is shown to anybody before the tenant's registration was found to cover the
// purpose and every claim (THREATS D38). Errors: ErrNotFound (tenant), ErrPolicy, ErrRequest, ErrPurpose, ErrRegistry.
func (d *Desk) Request(ctx context.Context, tenant string, in RequestInput) (Requested, error) {
	c, err := d.client(tenant)
	if err != nil {
		return Requested{}, err
	}
	p := d.policies[in.Policy]
	if p == nil || !c.may(in.Policy) {
		return Requested{}, ErrPolicy
	}
	now := d.cfg.Now()
	t, err := d.draft(c, p, in, now)
	if err != nil {
		return Requested{}, err
	}
	if err := d.entitled(ctx, c, p, now); err != nil {
		return Requested{}, err
	}
	handle, o, err := d.drawSecret(t)
	if err != nil {
		return Requested{}, err
	}
	t = o.t
	if err := d.cfg.Store.Create(ctx, t); err != nil {
		return Requested{}, fmt.Errorf("record request: %w", err)
	}
	d.under.put(o)
	d.cfg.Step("requested")
	link, err := oid4vp.Link{ClientID: t.ClientID, RequestURI: c.BaseURL + "/request/" + handle, RequestURIMethod: "post"}.URL(oid4vp.LinkScheme)
	if err != nil {
		return Requested{}, fmt.Errorf("write link: %w", err)
	}
	return Requested{ID: t.ID, Link: link, ExpiresAt: t.ExpiresAt}, nil
}

// draft checks what the company chose.
func (d *Desk) draft(c *client, p *Policy, in RequestInput, now time.Time) (Transaction, error) {
	t := Transaction{
		Tenant: c.Tenant, State: StateRequested, Policy: p.Name(), PolicyDigest: p.Digest(), ResponseMode: in.ResponseMode,
		CrossDevice: in.CrossDevice, Evidence: p.Evidence(), CreatedAt: now, ExpiresAt: now.Add(RequestTTL),
	}
	if in.Evidence != nil {
		t.Evidence = *in.Evidence
	}
	t.Evidence = t.Evidence && d.cfg.Network != ""
	prefix := in.ClientIDPrefix
	if prefix == "" {
		prefix = "x509_hash"
	}
	if t.ClientID = c.clientIDs[prefix]; t.ClientID == "" {
		return t, fmt.Errorf("%w: client id prefix", ErrRequest)
	}
	switch t.ResponseMode {
	case "":
		t.ResponseMode = oid4vp.ModeDirectPostJWT
	case oid4vp.ModeDirectPost, oid4vp.ModeDirectPostJWT:
	default:
		return t, fmt.Errorf("%w: response mode", ErrRequest)
	}
	if in.CrossDevice {
		if !p.CrossDevice() || in.RedirectURI != "" {
			return t, fmt.Errorf("%w: cross device", ErrRequest)
		}
		t.ExpiresAt = now.Add(CrossDeviceTTL)
	}
	if in.RedirectURI != "" || in.Session != "" {
		if !slices.Contains(c.RedirectURI, in.RedirectURI) || len(in.Session) < 16 || len(in.Session) > 512 {
			return t, fmt.Errorf("%w: redirect is not registered, or no browser session", ErrRequest)
		}
		t.RedirectURI, t.Session = in.RedirectURI, sha256.Sum256([]byte(in.Session))
	}
	return t, nil
}

// drawSecret draws every random name of the transaction and seals what must not lie readable. It returns the name in
// the request_uri; state and request_uri differ, because URLs end up in logs. The state is a MAC of the nonce: so the
// transaction of a nonce is found again without a second index (see seenBefore).
func (d *Desk) drawSecret(t Transaction) (handle string, o opened, err error) {
	drawn, err := names(3, d.cfg.Random, t.CreatedAt)
	if err != nil {
		return "", opened{}, err
	}
	t.ID, handle = drawn[0], drawn[1]
	s := secret{Nonce: drawn[2]}
	s.State = d.seal.stateOf(t.Tenant, s.Nonce)
	t.Handle, t.StateHash = nameKey(handle), nameKey(s.State)
	if t.ResponseMode == oid4vp.ModeDirectPostJWT {
		if o.key, err = keys.NewEphemeral(kidOf(t.StateHash)); err != nil {
			return "", opened{}, fmt.Errorf("make encryption key: %w", err)
		}
		if s.Key, err = o.key.Private(); err != nil {
			return "", opened{}, fmt.Errorf("keep encryption key: %w", err)
		}
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return "", opened{}, fmt.Errorf("write secret: %w", err)
	}
	if t.Secret, err = d.seal.seal(place{t.Tenant, t.ID, "secret"}, plain); err != nil {
		return "", opened{}, fmt.Errorf("keep secret: %w", err)
	}
	o.t, o.s = t, s
	return handle, o, nil
}

// kidOf names a transaction's encryption key: the stored key of its state, so that an encrypted answer finds its transaction
// by the same column as a plain one.
func kidOf(stateHash [32]byte) string { return base64.RawURLEncoding.EncodeToString(stateHash[:]) }

func (d *Desk) openSecret(t Transaction) (secret, error) {
	plain, err := d.seal.open(place{t.Tenant, t.ID, "secret"}, t.Secret)
	if err != nil {
		return secret{}, err
	}
	var s secret
	if err := json.Unmarshal(plain, &s); err != nil {
		return secret{}, fmt.Errorf("read secret: %w", err)
	}
	return s, nil
}

// entitled asks the registry whether this company may ask this. Its own old registration counts while nothing newer can
// be had: the wallet checks it again with its own evidence.
func (d *Desk) entitled(ctx context.Context, c *client, p *Policy, now time.Time) error {
	reg, _, err := d.registry.Registration(ctx, c.DID, p.Purpose(), time.Time{})
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return ErrPurpose
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRegistry, err)
	case reg.DID != c.DID || reg.Purpose != p.Purpose() || now.Before(reg.From) || (!reg.Until.IsZero() && !now.Before(reg.Until)):
		return ErrPurpose
	}
	for _, spec := range p.spec.Credentials {
		paths := make([]string, len(spec.Claims))
		for i, path := range spec.Claims {
			paths[i] = schemas.FormatPath(path)
		}
		for _, vct := range spec.Types {
			t, ok := schemas.Lookup(vct)
			if !ok || !schemas.Covers(reg.Claims[vct], paths) {
				return ErrPurpose
			}
			if err := t.CheckRequestable(paths, reg.LegalBasis); err != nil {
				return fmt.Errorf("%w: %w", ErrPurpose, err)
			}
		}
	}
	return nil
}
