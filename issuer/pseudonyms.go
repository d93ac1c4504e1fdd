package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"sync"
)

// pseudonyms adds what tells a person again without naming one, both from the person's random root:
//
//	pairwise_id       = base64url(HMAC-SHA-256(root, "dojang pairwise v1", slot))
//	program_nullifier = base64url(HMAC-SHA-256(programme's key, root))       (DOMAIN 3.0)
//
// The programme's key is random and held by the tenant that runs the programme: whoever learns a root cannot compute
// nullifiers, those of two programmes do not join, and a key can be destroyed when the retention of its programme ends.
func (is *Issuer) pseudonyms(ctx context.Context, r datasetRequest, claims map[string]any) error {
	_, nullifier := r.config.typ.Claim(claimNullifier)
	if !nullifier && (!r.config.slots || r.slot == slotNone) {
		return nil
	}
	root, err := is.pseudonymRoot(ctx, Subject{Tenant: r.tenant.ID, Type: r.config.typ.Name, Person: r.person}, r.sealedPseudonym)
	if err != nil {
		return err
	}
	if r.config.slots && r.slot != slotNone {
		claims[claimPairwise] = base64.RawURLEncoding.EncodeToString(mac(root, "dojang pairwise v1", strconv.Itoa(r.slot)))
	}
	if programme, _ := claims["program_id"].(string); nullifier && programme != "" {
		key, err := is.programKey(ctx, r.tenant.ID, programme)
		if err != nil {
			return err
		}
		m := hmac.New(sha256.New, key)
		m.Write(root)
		claims[claimNullifier] = base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	return nil
}

// pseudonymRoot is random per person and type; the first use draws it.
func (is *Issuer) pseudonymRoot(ctx context.Context, s Subject, sealed []byte) ([]byte, error) {
	place := "pseudonym/" + s.Tenant + "/" + s.Type + "/" + s.Person
	if sealed != nil {
		return is.secrets.open(sealed, place)
	}
	kept, err := is.cfg.Store.Pseudonym(ctx, s, is.fresh(place))
	if err != nil {
		return nil, fmt.Errorf("read pseudonym root: %w", err)
	}
	return is.secrets.open(kept, place)
}

// programKeys remembers the few keys of programmes that are open.
type programKeys struct {
	mu   sync.Mutex
	open map[string][]byte // by place
}

const maxProgramKeys = 1024

// programKey is random per tenant and programme; the first use draws it.
func (is *Issuer) programKey(ctx context.Context, tenant, programme string) ([]byte, error) {
	place := "program key/" + tenant + "/" + programme
	p := &is.programs
	p.mu.Lock()
	key := p.open[place]
	p.mu.Unlock()
	if key != nil {
		return key, nil
	}
	kept, err := is.cfg.Store.ProgramKey(ctx, tenant, programme, is.fresh(place))
	if err != nil {
		return nil, fmt.Errorf("read program key: %w", err)
	}
	if key, err = is.secrets.open(kept, place); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil || len(p.open) >= maxProgramKeys {
		p.open = map[string][]byte{}
	}
	p.open[place] = key
	return key, nil
}

// fresh draws 32 bytes, sealed for a place.
func (is *Issuer) fresh(place string) func() ([]byte, error) {
	return func() ([]byte, error) {
		b := make([]byte, 32)
		if err := is.draw(b); err != nil {
			return nil, err
		}
		return is.secrets.seal(b, place)
	}
}
