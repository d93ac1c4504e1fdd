package verifier

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// A claim is what a token says about its signer. Nothing of it is believed.
type claim struct {
	issuer, kid, vct string
	x5c              [][]byte
	signed           times
	// anchored tokens (status lists under a proven epoch) need no second proof that a retired key signed in time.
	anchored bool
	// operator: a status list of a second status operator, whose certificate says so.
	operator bool
	// under is the accreditation that a credential was bound with, for its status list: the list of an agency whose
	// accreditation ended or is suspended still speaks for what it issued before.
	under *registry.Accreditation
}

// times is the span in which a token was signed. Issuers round iat to the day so that copies do not link, so a token
// dated 00:00 was signed at some moment of that day.
type times struct{ first, last time.Time }

// issuer is who signed, proven by the registry. Only bind makes one.
type issuer struct {
	did           registry.DID
	keyID         string
	key           *keys.PublicKey
	accreditation registry.Accreditation
	oldest        registry.Checked // of the facts used
	stale         *finding         // the facts are older than the policy allows: on hold unless something worse is found
}

// binding is the moment and the patience with which facts are asked for.
type binding struct {
	facts  sources
	now    time.Time
	maxAge time.Duration
}

// bind is the one place where iss, DID, kid, x5c, key fact, accreditation and recorded root meet (DESIGN 3). Every
// question must be answered with yes; an error, an absence or a doubt is a finding. X.509 alone never suffices, and
// there is no other method to fall back to: an iss that is not ours is untrusted (THREATS H30).
func (v *Verifier) bind(ctx context.Context, c claim, b binding) (issuer, *finding) {
	did, err := registry.ParseDID(c.issuer)
	if err != nil {
		return issuer{}, found(ReasonIssuer, err)
	}
	if v.cfg.Network != "" && did.Network() != v.cfg.Network {
		return issuer{}, found(ReasonIssuer, errors.New("iss is of another network"))
	}
	owner, keyID, err := registry.ParseDIDURL(c.kid)
	if err != nil || owner != did {
		return issuer{}, found(ReasonIssuer, errors.New("kid is not a key of iss"))
	}
	key, keyKnown, err := b.facts.key(ctx, did, keyID)
	if err != nil {
		return issuer{}, unanswered("issuer key", err)
	}
	if key.DID != did || key.ID != keyID || key.Use != registry.UseAssertion {
		return issuer{}, found(ReasonIssuer, errors.New("key is not one for credentials"))
	}
	// What was anchored before a compromise would still count; credentials are not anchored singly, so none does.
	if !key.CompromisedFrom.IsZero() || !overlaps(c.signed, key.ActiveFrom, key.RetiredAt) {
		return issuer{}, found(ReasonIssuer, errors.New("key was not in force when the credential was signed"))
	}
	accr, accrKnown, f := b.accreditation(ctx, did, c)
	if f != nil {
		return issuer{}, f
	}
	public, err := v.keys.parse(key.JWK)
	if err != nil {
		return issuer{}, found(ReasonIssuer, fmt.Errorf("read key fact: %w", err))
	}
	if f := v.certified(c, did, public, accr); f != nil {
		return issuer{}, f
	}
	if !key.RetiredAt.IsZero() && !c.anchored {
		if f := b.vouchedAfter(ctx, did, key.RetiredAt); f != nil {
			return issuer{}, f
		}
	}
	out := issuer{did: did, keyID: keyID, key: public, accreditation: accr, oldest: older(keyKnown, accrKnown)}
	out.stale = b.fresh(out.oldest)
	return out, nil
}

// accreditation finds the one that covers the signing: the latest when it does, otherwise the one in force then.
func (b binding) accreditation(ctx context.Context, did registry.DID, c claim) (registry.Accreditation, registry.Checked, *finding) {
	if c.under != nil && c.under.DID == did && c.under.Type == c.vct {
		return *c.under, registry.Checked{KnownAt: b.now}, nil
	}
	for _, at := range []time.Time{{}, c.signed.last} {
		a, known, err := b.facts.accreditation(ctx, did, c.vct, at)
		if err != nil {
			return a, known, unanswered("accreditation", err)
		}
		if a.DID == did && a.Type == c.vct && !a.Suspended && overlaps(c.signed, a.From, a.Until) {
			return a, known, nil
		}
	}
	return registry.Accreditation{}, registry.Checked{}, found(ReasonIssuer, errors.New("issuer was not accredited for the type at that time"))
}

// vouchedAfter: a token under a retired key could have been made and dated back today (THREATS H29). It counts only
// when the issuer has anchored its status lists again after the key was retired.
func (b binding) vouchedAfter(ctx context.Context, did registry.DID, retired time.Time) *finding {
	epoch, _, err := b.facts.epoch(ctx, did)
	if err != nil {
		return unanswered("status epoch after key retirement", err)
	}
	own := epoch.IssuedAt
	if epoch.Redated() {
		own = epoch.Base.IssuedAt // an operator vouches for nobody's keys
	}
	if own.Before(retired) {
		return found(ReasonIssuer, errors.New("no status epoch since the key was retired"))
	}
	return nil
}

// certified checks the X.509 side: the leaf holds this very key and this very DID, under a root that the accreditation
// records. An accreditation without roots takes tokens without x5c only.
func (v *Verifier) certified(c claim, did registry.DID, key *keys.PublicKey, a registry.Accreditation) *finding {
	if len(c.x5c) == 0 || len(a.Roots) == 0 {
		if len(c.x5c) == len(a.Roots) {
			return nil
		}
		return found(ReasonIssuer, errors.New("certificate chain and accreditation do not match"))
	}
	var roots []*x509.Certificate
	for _, digest := range a.Roots {
		if len(digest) == sha256.Size && v.roots[[32]byte(digest)] != nil {
			roots = append(roots, v.roots[[32]byte(digest)])
		}
	}
	if len(roots) == 0 {
		return found(ReasonIssuer, errors.New("no root of the accreditation is known here"))
	}
	use := keys.EKUDocumentSigner
	if c.operator {
		use = keys.EKUStatusSigner
	}
	leaf, err := v.keys.chain(c.x5c, use, roots, c.signed.last)
	if err != nil {
		return found(ReasonIssuer, fmt.Errorf("verify certificate chain: %w", err))
	}
	if !leaf.Key.Equal(key) || !leaf.HasURI(string(did)) {
		return found(ReasonIssuer, errors.New("certificate is not that of the key and DID"))
	}
	return nil
}

// clockDrift is how far the clocks of issuers, nodes and verifiers may be apart.
const clockDrift = time.Minute

// fresh: facts older than the policy allows put a judgement on hold (H18); so do facts from the future (H15).
func (b binding) fresh(c registry.Checked) *finding {
	if b.now.Sub(c.KnownAt) > b.maxAge || c.KnownAt.Sub(b.now) > clockDrift {
		return found(ReasonTrust, errors.New("registry facts are not of an acceptable age"))
	}
	return nil
}

// unanswered tells proven absence from not knowing.
func unanswered(what string, err error) *finding {
	err = fmt.Errorf("%s: %w", what, err)
	if errors.Is(err, registry.ErrNotFound) {
		return found(ReasonIssuer, err)
	}
	return found(ReasonTrust, err)
}

// overlaps: was there a moment of the span in [from, until)? A zero until is open.
func overlaps(s times, from, until time.Time) bool {
	return !s.last.Before(from) && (until.IsZero() || s.first.Before(until))
}

func older(a, b registry.Checked) registry.Checked {
	if b.KnownAt.Before(a.KnownAt) {
		return b
	}
	return a
}

// spanOf: a time on a day boundary (UTC or Korean) stands for its day.
func spanOf(at, now time.Time) times {
	s := times{first: at, last: at}
	const day = 24 * 60 * 60
	if u := at.Unix(); u%day == 0 || (u+9*60*60)%day == 0 {
		s.last = at.Add(day*time.Second - time.Second)
		if now.Before(s.last) {
			s.last = now
		}
	}
	return s
}

// keyCache keeps parsed issuer keys by JWK and verified single-leaf chains by hash. Bounded; cleared when full, since
// issuers are few.
type keyCache struct {
	mu     sync.RWMutex
	public map[string]*keys.PublicKey // JWK -> key
	leaves map[[32]byte]*keys.Leaf    // SHA-256 of use, root DER and leaf DER -> verified leaf
}

const maxCachedKeys = 4096

func newKeyCache() *keyCache {
	return &keyCache{public: map[string]*keys.PublicKey{}, leaves: map[[32]byte]*keys.Leaf{}}
}

func (k *keyCache) parse(jwk []byte) (*keys.PublicKey, error) {
	k.mu.RLock()
	key := k.public[string(jwk)]
	k.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	key, err := keys.ParseJWK(jwk)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.public) >= maxCachedKeys {
		clear(k.public)
	}
	k.public[string(jwk)] = key
	return key, nil
}

// chain verifies an x5c for a moment. A leaf directly under its root is verified once and afterwards only placed in time.
func (k *keyCache) chain(x5c [][]byte, use asn1.ObjectIdentifier, roots []*x509.Certificate, at time.Time) (*keys.Leaf, error) {
	policy := keys.ChainPolicy{Roots: roots, Now: at, EKU: []asn1.ObjectIdentifier{use}}
	if len(x5c) != 1 {
		return keys.VerifyChain(x5c, policy)
	}
	id := chainID(x5c[0], use, roots)
	k.mu.RLock()
	leaf := k.leaves[id]
	k.mu.RUnlock()
	if leaf != nil && within(leaf.Certificate, at) && within(leaf.Root, at) {
		return leaf, nil
	}
	leaf, err := keys.VerifyChain(x5c, policy)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.leaves) >= maxCachedKeys {
		clear(k.leaves)
	}
	k.leaves[id] = leaf
	return leaf, nil
}

func chainID(leaf []byte, use asn1.ObjectIdentifier, roots []*x509.Certificate) [32]byte {
	h := sha256.New()
	h.Write([]byte{byte(len(roots)), byte(use[len(use)-1])})
	for _, root := range roots {
		h.Write(root.Raw)
	}
	h.Write(leaf)
	return [32]byte(h.Sum(nil))
}

func within(c *x509.Certificate, at time.Time) bool {
	return !at.Before(c.NotBefore) && !at.After(c.NotAfter)
}
