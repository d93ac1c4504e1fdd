package holder

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
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
	holder  string // thumbprint of the key that it is bound to
	issuer  registry.DID
	kid     string
	status  statuslist.Reference
	expires time.Time
	content map[string]any // without what differs from copy to copy by design
}

// check judges every copy of an answer. Each of our keys is bound by exactly one; all say the same; no two share what
// could link them. Errors: ErrUntrusted; ErrRegistry, ErrUnreachable (the registry cannot be asked).
func (h *Holder) check(ctx context.Context, vct string, answer oid4vci.CredentialResponse, device []deviceKey) ([]checkedCopy, error) {
	if len(answer.Credentials) != len(device) {
		return nil, fmt.Errorf("%w: %d copies for %d keys", ErrUntrusted, len(answer.Credentials), len(device))
	}
	byKey := make(map[string]deviceKey, len(device))
	for _, k := range device {
		byKey[k.Public().Thumbprint()] = k
	}
	checked := make([]checkedCopy, 0, len(device))
	entries := make(map[statuslist.Reference]bool, len(device))
	for _, c := range answer.Credentials {
		token, ok := c.Text()
		if !ok {
			return nil, fmt.Errorf("%w: a copy is not a string", ErrUntrusted)
		}
		one, err := h.checkCopy(ctx, vct, token)
		if err != nil {
			return nil, unknown(err, ErrUntrusted)
		}
		if one.key, ok = byKey[one.holder]; !ok {
			return nil, fmt.Errorf("%w: a copy is bound to a key that is not ours, or is already bound", ErrUntrusted)
		}
		delete(byKey, one.holder)
		if entries[one.status] {
			return nil, fmt.Errorf("%w: copies share a status entry", ErrUntrusted)
		}
		entries[one.status] = true
		if first := append(checked, one)[0]; first.issuer != one.issuer || first.kid != one.kid || !reflect.DeepEqual(first.content, one.content) {
			return nil, fmt.Errorf("%w: copies differ in what they say", ErrUntrusted)
		}
		checked = append(checked, one)
	}
	return checked, nil
}

// checkCopy is the wallet's side of "who may issue what": iss, kid, x5c, key fact, accreditation and status host are bound
// here and nowhere else, for every way in which an offer can arrive (I21).
func (h *Holder) checkCopy(ctx context.Context, vct, token string) (checkedCopy, error) {
	parsed, err := sdjwt.Parse(token)
	if err != nil {
		return checkedCopy{}, err
	}
	now, hints := h.cfg.Now(), parsed.Hints()
	did, fragment, err := registry.ParseDIDURL(hints.Kid)
	if err != nil || string(did) != hints.Issuer {
		return checkedCopy{}, errors.New("the key is not named as the issuer's")
	}
	key, err := h.issuerKey(ctx, did, fragment)
	if err != nil {
		return checkedCopy{}, err
	}
	accredited, _, err := h.cfg.Registry.Accreditation(ctx, did, vct, time.Time{})
	if err != nil {
		return checkedCopy{}, fmt.Errorf("the issuer's accreditation for this type: %w", err)
	}
	if accredited.DID != did || accredited.Type != vct || !accredited.InForce(now) {
		return checkedCopy{}, errors.New("the issuer is not accredited for this type now")
	}
	if (len(hints.X5C) == 0) != (len(accredited.Roots) == 0) {
		return checkedCopy{}, errors.New("certificate chain and accreditation do not match") // no verifier would take it
	}
	if err := leafMatches(hints.X5C, key, did, now); err != nil {
		return checkedCopy{}, err
	}
	verified, err := parsed.Verify(key, sdjwt.Options{Now: now, Required: []string{"iss", "exp", "cnf", "status"}})
	if err != nil {
		return checkedCopy{}, err
	}
	if _, err := sdjwt.Open(token); err != nil { // what cannot be presented is not stored
		return checkedCopy{}, err
	}
	c := checkedCopy{token: token, issuer: did, kid: fragment, expires: verified.Expires()}
	return c, c.read(verified, vct, accredited)
}

// issuerKey is a key of an issuer in force for credentials.
func (h *Holder) issuerKey(ctx context.Context, did registry.DID, fragment string) (*keys.PublicKey, error) {
	fact, _, err := h.cfg.Registry.Key(ctx, did, fragment, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("the issuer's key: %w", err)
	}
	if fact.DID != did || fact.ID != fragment || fact.Use != registry.UseAssertion || !fact.InForce(h.cfg.Now()) || !fact.CompromisedFrom.IsZero() {
		return nil, errors.New("the issuer's key is not in force for credentials")
	}
	return keys.ParseJWK(fact.JWK)
}

// read takes what is needed out of a verified copy: the type that was offered, claims that its schema allows and that
// can be kept back one by one, a status list under the consortium's name, a key.
func (c *checkedCopy) read(v *sdjwt.Verified, vct string, a registry.Accreditation) error {
	claims := v.Claims()
	if v.VCT() != vct {
		return errors.New("the copy is of another type")
	}
	known, ok := schemas.Lookup(vct)
	if !ok {
		return errors.New("the type is unknown")
	}
	status, _ := claims.Get("status")
	var err error
	if c.status, err = statuslist.ParseReference(status.JSON()); err != nil {
		return err
	}
	if !underHost(c.status.URI, a) {
		return errors.New("the status list lies elsewhere than the accreditation says")
	}
	if v.Holder() == nil {
		return errors.New("the copy is bound to no key of ours")
	}
	c.holder = v.Holder().Thumbprint()
	if err := concealable(known, claims, nil); err != nil {
		return err
	}
	c.content, _ = claims.Any().(map[string]any)
	delete(c.content, "cnf")
	delete(c.content, "status")
	record := map[string]any{}
	for name, value := range c.content {
		if !protocolClaim(known, name) {
			record[name] = value
		}
	}
	if violations := known.Validate(record); len(violations) > 0 {
		return fmt.Errorf("%d claims break the type's rules, the first breaks %q", len(violations), violations[0].Rule)
	}
	return nil
}

// protocolClaim: set by the signing step, not by the record. iat and the type's digest stand beside the type's own claims.
func protocolClaim(t *schemas.Type, name string) bool {
	c, ok := t.Claim(name)
	return ok && c.Reserved || name == "iat" || name == "vct#integrity"
}

// underHost wants <status host>/<issuer's DID id>/<list>: a URI of its own for each credential would track its holder.
func underHost(uri string, a registry.Accreditation) bool {
	const name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	list, ok := strings.CutPrefix(uri, strings.TrimSuffix(a.StatusHost, "/")+"/"+a.DID.ID()+"/")
	return ok && a.StatusHost != "" && list != "" && len(list) <= 64 && strings.Trim(list, name) == ""
}

// concealable: whatever the type lets its holder keep back came as a disclosure of its own. Otherwise every presentation
// would show it, whatever the person agreed to.
func concealable(t *schemas.Type, v sdjwt.Value, path []any) error {
	visit := func(c sdjwt.Claim, step any) error {
		at := append(path[:len(path):len(path)], step)
		if !c.SD && t.Disclosable(schemas.FormatPath(at)) {
			return errors.New("a claim that the holder may keep back cannot be kept back")
		}
		return concealable(t, c.Value, at)
	}
	for _, c := range v.Members() {
		if err := visit(c, c.Name); err != nil {
			return err
		}
	}
	for _, e := range v.Elements() {
		if err := visit(e, nil); err != nil {
			return err
		}
	}
	return nil
}

// leafMatches: a certificate that comes along must say the same as the registry: this key, this DID, now. Whether its
// root is a recorded one is for readers who know no registry.
func leafMatches(chain [][]byte, key *keys.PublicKey, did registry.DID, now time.Time) error {
	if len(chain) == 0 {
		return nil
	}
	leaf, err := readLeaf(chain, now)
	if err != nil {
		return err
	}
	if !leaf.Key.Equal(key) {
		return errors.New("the certificate is for another key")
	}
	if !leaf.HasURI(string(did)) {
		return errors.New("the certificate names another issuer")
	}
	return nil
}

// readLeaf reads the first certificate of a chain. No root is asked: the wallet believes the registry, and its callers
// compare the certified key with a key fact.
func readLeaf(chain [][]byte, now time.Time) (*keys.Leaf, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, errors.New("the certificate cannot be read")
	}
	if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return nil, errors.New("the certificate is not valid now")
	}
	key, err := keys.NewPublicKey(cert.PublicKey)
	if err != nil {
		return nil, err
	}
	return &keys.Leaf{Certificate: cert, Key: key}, nil
}
