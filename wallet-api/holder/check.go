package holder

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// A checkedCopy holds: its issuer was entitled, its signature is right, it is bound to our key.
type checkedCopy struct {
	token   string
	key     deviceKey
	issuer  registry.DID
	kid     string
	status  statuslist.Reference
	expires time.Time
}

// check judges every copy of an answer; each of our keys is bound by exactly one.
func (h *Holder) check(ctx context.Context, o *Offer, t OfferedType, answer oid4vci.CredentialResponse, device []deviceKey) ([]checkedCopy, error) {
	byKey := make(map[string]deviceKey, len(device))
	for _, k := range device {
		byKey[k.Public().Thumbprint()] = k
	}
	checked := make([]checkedCopy, 0, len(device))
	for _, c := range answer.Credentials {
		token, ok := c.Text()
		if !ok {
			return nil, fmt.Errorf("%w: a copy is not a string", ErrUntrusted)
		}
		one, holder, err := h.checkCopy(ctx, t.VCT, token)
		if err != nil {
			return nil, err
		}
		key, ours := byKey[holder]
		if !ours {
			return nil, fmt.Errorf("%w: a copy is bound to a key that is not ours", ErrUntrusted)
		}
		delete(byKey, holder)
		one.key = key
		if len(checked) > 0 && (checked[0].issuer != one.issuer || checked[0].status == one.status) {
			return nil, fmt.Errorf("%w: copies share a status entry or differ in their issuer", ErrUntrusted)
		}
		checked = append(checked, one)
	}
	return checked, nil
}

// checkCopy is the wallet's side of "who may issue what": iss, kid, x5c, key fact, accreditation and status host are bound
// here and nowhere else. It returns the thumbprint of the key that the copy is bound to.
func (h *Holder) checkCopy(ctx context.Context, vct, token string) (checkedCopy, string, error) {
	untrusted := func(err error) (checkedCopy, string, error) {
		if errors.Is(err, registry.ErrUnavailable) {
			return checkedCopy{}, "", fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return checkedCopy{}, "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return untrusted(err)
	}
	now := h.cfg.Now()
	hints := parsed.Hints()
	did, fragment, err := registry.ParseDIDURL(hints.Kid)
	if err != nil || string(did) != hints.Issuer {
		return untrusted(errors.New("the key is not named as the issuer's"))
	}
	fact, _, err := h.cfg.Registry.Key(ctx, did, fragment, time.Time{})
	if err != nil {
		return untrusted(fmt.Errorf("the issuer's key: %w", err))
	}
	key, err := keys.ParseJWK(fact.JWK)
	if err != nil || fact.Use != registry.UseAssertion || !fact.InForce(now) {
		return untrusted(errors.New("the issuer's key is not in force for credentials"))
	}
	if err := leafMatches(hints.X5C, key, did, now); err != nil {
		return untrusted(err)
	}
	accredited, _, err := h.cfg.Registry.Accreditation(ctx, did, vct, time.Time{})
	if err != nil || !accredited.InForce(now) {
		return untrusted(fmt.Errorf("the issuer is not accredited for this type: %w", errOr(err, registry.ErrNotFound)))
	}
	verified, err := parsed.Verify(key, sdjwt.Options{Now: now})
	if err != nil {
		return untrusted(err)
	}
	c := checkedCopy{token: token, issuer: did, kid: fragment, expires: verified.Expires()}
	if c.status, err = h.checkClaims(verified, vct, accredited); err != nil {
		return untrusted(err)
	}
	if verified.Holder() == nil {
		return untrusted(errors.New("the copy is bound to no key"))
	}
	return c, verified.Holder().Thumbprint(), nil
}

// checkClaims: the type that was offered, claims that its schema allows, a status list under the consortium's name.
func (h *Holder) checkClaims(v *sdjwt.Verified, vct string, a registry.Accreditation) (statuslist.Reference, error) {
	claims := v.Claims()
	if got, _ := claims.Get("vct"); got.Str() != vct {
		return statuslist.Reference{}, errors.New("the copy is of another type")
	}
	status, ok := claims.Get("status")
	if !ok {
		return statuslist.Reference{}, errors.New("the copy has no status")
	}
	reference, err := statuslist.ParseReference(status.JSON())
	if err != nil {
		return reference, err
	}
	if prefix := strings.TrimSuffix(a.StatusHost, "/") + "/" + a.DID.ID() + "/"; !strings.HasPrefix(reference.URI, prefix) {
		return reference, errors.New("the status list lies elsewhere than the accreditation says")
	}
	known, ok := schemas.Lookup(vct)
	if !ok {
		return reference, errors.New("the type is unknown")
	}
	record := map[string]any{}
	for _, m := range claims.Members() {
		if c, ok := known.Claim(m.Name); ok && c.Reserved {
			continue
		}
		record[m.Name] = m.Value.Any()
	}
	if violations := known.Validate(record); len(violations) > 0 {
		return reference, fmt.Errorf("%d claims break the type's rules, the first is %s", len(violations), violations[0].Claim)
	}
	return reference, nil
}

// leafMatches: a certificate that comes along must say the same as the registry: this key, this DID, now.
func leafMatches(chain [][]byte, key *keys.PublicKey, did registry.DID, now time.Time) error {
	if len(chain) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return errors.New("the certificate cannot be read")
	}
	certified, err := keys.NewPublicKey(leaf.PublicKey)
	if err != nil || !certified.Equal(key) {
		return errors.New("the certificate is for another key")
	}
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return errors.New("the certificate is not valid now")
	}
	for _, u := range leaf.URIs {
		if u.String() == string(did) {
			return nil
		}
	}
	return errors.New("the certificate names another issuer")
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
