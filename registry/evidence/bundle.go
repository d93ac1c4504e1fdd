package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/registry"
)

// BundleFormat is the first member of a trust bundle, BundleKind the kind that its signatures are bound to.
const (
	BundleFormat = "dojang-trust-bundle/1"
	BundleKind   = "trust-bundle"
)

// A Bundle is one link of the chain of trust bundles: a Trust, who signs the next one, and who signed this one.
// registry/README.md, "Trust bundle".
type Bundle struct {
	Trust
	Prev       [32]byte // Digest of the bundle before; zero for number 1, which is trusted by its Digest alone
	Members    []BundleMember
	Threshold  uint64 // of Members, for the next bundle
	Signatures []BundleSignature
}

// A BundleMember is a member with its governance key.
type BundleMember struct {
	ID  string
	Key registry.PublicKey
}

// A BundleSignature is one member's, of the bundle before.
type BundleSignature struct {
	Member string
	Value  []byte // 64 bytes
}

// Why a bundle is not taken. Both wrap registry.ErrUntrusted.
var (
	// ErrBundle: not the next link, or not signed by enough members of the link before.
	ErrBundle = fmt.Errorf("%w: trust bundle", registry.ErrUntrusted)
	// ErrBundleExpired: the newest bundle at hand is too old. Only a newer one, or a published head, restores trust.
	ErrBundleExpired = fmt.Errorf("%w: trust bundle has expired", registry.ErrUntrusted)
)

const (
	maxBundle  = 256 << 10 // bytes
	maxMembers = 100
)

// bundleWire is what is signed and hashed.
type bundleWire struct {
	V              uint64             `cbor:"v"`
	Number         uint64             `cbor:"number"`
	Prev           []byte             `cbor:"prev,omitempty"`
	Network        string             `cbor:"network"`
	ChainID        string             `cbor:"chain_id"`
	Development    bool               `cbor:"development"`
	Height         uint64             `cbor:"height"`
	Hash           [32]byte           `cbor:"hash"`
	Time           stampWire          `cbor:"time"`
	Expires        int64              `cbor:"expires"`
	TrustingPeriod int64              `cbor:"trusting_period"`
	Validators     []validatorWire    `cbor:"validators"`
	Members        []bundleMemberWire `cbor:"members"`
	Threshold      uint64             `cbor:"threshold"`
}

type stampWire struct {
	_       struct{} `cbor:",toarray"`
	Seconds int64
	Nanos   int64
}

type validatorWire struct {
	_     struct{} `cbor:",toarray"`
	Key   [32]byte
	Power int64
}

type bundleMemberWire struct {
	_   struct{} `cbor:",toarray"`
	ID  string
	Key registry.PublicKey
}

// Payload is what members sign. Error: registry.ErrMalformed.
func (b *Bundle) Payload() ([]byte, error) {
	if !b.plausible() {
		return nil, fmt.Errorf("trust bundle: %w", registry.ErrMalformed)
	}
	w := bundleWire{
		V: 1, Number: b.Number, Network: b.Network, ChainID: b.ChainID, Development: b.Development, Height: b.Height, Hash: b.Hash,
		Time: stampWire{Seconds: b.Time.Unix(), Nanos: int64(b.Time.Nanosecond())}, Expires: b.Expires.Unix(),
		TrustingPeriod: int64(b.TrustingPeriod / time.Second), Threshold: b.Threshold,
	}
	if b.Prev != ([32]byte{}) {
		w.Prev = b.Prev[:]
	}
	for _, v := range b.Validators {
		w.Validators = append(w.Validators, validatorWire{Key: v.PublicKey, Power: v.Power})
	}
	for _, m := range b.Members {
		w.Members = append(w.Members, bundleMemberWire{ID: m.ID, Key: m.Key})
	}
	return registry.Encode(w)
}

// Digest names the bundle: for the link after it, and for people who compare.
func (b *Bundle) Digest() ([32]byte, error) {
	payload, err := b.Payload()
	return sha256.Sum256(payload), err
}

// plausible is what holds for a bundle by itself.
func (b *Bundle) plausible() bool {
	n := uint64(len(b.Members))
	if n == 0 || n > maxMembers || b.Threshold > n || b.Threshold < registry.Majority(n) || b.Number == 0 || (b.Number == 1) != (b.Prev == [32]byte{}) {
		return false
	}
	if _, powered := b.Validators.power(); !powered || len(b.Validators) > MaxValidators || b.Height == 0 || b.Hash == ([32]byte{}) {
		return false
	}
	if _, err := registry.ParseDID("did:dojang:" + b.Network + ":1"); err != nil || !registry.ValidFragment(b.ChainID) {
		return false
	}
	period := b.TrustingPeriod
	if b.Time.IsZero() || b.Expires.IsZero() || !b.Expires.After(b.Time) || b.Expires.Nanosecond() != 0 || period <= 0 || period%time.Second != 0 {
		return false
	}
	for i, m := range b.Members {
		if !registry.ValidFragment(m.ID) || m.Key.Alg() == 0 {
			return false
		}
		if slices.ContainsFunc(b.Members[:i], func(o BundleMember) bool { return o.ID == m.ID || bytes.Equal(o.Key, m.Key) }) {
			return false
		}
	}
	return true
}

func (b *Bundle) statement(payload []byte, member string) registry.Statement {
	return registry.Statement{Network: b.Network, ChainID: b.ChainID, Kind: BundleKind, Payload: payload, Role: registry.RoleMember(member)}
}

// Sign adds the signature of a member, whose role is registry.RoleMember(id). Errors: registry.ErrMalformed, the signer's.
func (b *Bundle) Sign(key registry.SigningKey) error {
	payload, err := b.Payload()
	if err != nil {
		return err
	}
	id, ok := registry.MemberOfRole(key.Role)
	if !ok || slices.ContainsFunc(b.Signatures, func(s BundleSignature) bool { return s.Member == id }) {
		return fmt.Errorf("trust bundle: signer: %w", registry.ErrMalformed)
	}
	value, err := registry.SignStatement(b.Network, b.ChainID, BundleKind, payload, key)
	if err != nil {
		return fmt.Errorf("sign trust bundle: %w", err)
	}
	b.Signatures = append(b.Signatures, BundleSignature{Member: id, Value: value})
	return nil
}

// VerifyBundle checks that next follows prev and may be used now. prev may have expired: its members still name the next.
// Errors: ErrBundle, ErrBundleExpired, ErrClock, registry.ErrMalformed.
func VerifyBundle(prev, next *Bundle, now time.Time) error {
	if err := follows(prev, next); err != nil {
		return err
	}
	return next.Usable(now)
}

// Advance goes from a trusted bundle along links in order and returns the last, which must be usable now; those before
// it may have expired. Without links it is prev itself. Errors: as VerifyBundle.
func Advance(prev *Bundle, links []*Bundle, now time.Time) (*Bundle, error) {
	for _, next := range links {
		if err := follows(prev, next); err != nil {
			return nil, err
		}
		prev = next
	}
	return prev, prev.Usable(now)
}

// Usable reports whether the bundle may be used at now. Errors: ErrBundleExpired, ErrClock.
func (b *Bundle) Usable(now time.Time) error {
	if b.Time.After(now.Add(clockDrift)) {
		return ErrClock
	}
	if !now.Before(b.Expires) {
		return ErrBundleExpired
	}
	return nil
}

func follows(prev, next *Bundle) error {
	if err := next.Continues(prev); err != nil {
		return err
	}
	payload, err := next.Payload()
	if err != nil {
		return err
	}
	return prev.signed(next, payload)
}

// Continues checks that the bundle is the next link after prev, whoever has signed it: what a member looks at before signing.
// Errors: ErrBundle, registry.ErrMalformed.
func (b *Bundle) Continues(prev *Bundle) error {
	next := b
	digest, err := prev.Digest()
	if err != nil {
		return err
	}
	switch {
	case next.Network != prev.Network || next.ChainID != prev.ChainID:
		return fmt.Errorf("%w: of another chain", ErrBundle)
	case next.Number != prev.Number+1 || next.Prev != digest:
		return fmt.Errorf("%w: not the next one", ErrBundle)
	case next.Development && !prev.Development:
		return fmt.Errorf("%w: a production network never becomes a development network", ErrBundle)
	case next.Height < prev.Height || next.Time.Before(prev.Time) || (next.Height == prev.Height && next.Hash != prev.Hash):
		return fmt.Errorf("%w: goes back", ErrBundle)
	}
	return nil
}

// SignedBy counts the signatures of prev's members; missing is how many are wanted still. Error: ErrBundle, one does not hold.
func (b *Bundle) SignedBy(prev *Bundle) (have, missing uint64, err error) {
	payload, err := b.Payload()
	if err != nil {
		return 0, 0, err
	}
	if have, err = prev.count(b, payload); err != nil {
		return 0, 0, err
	}
	return have, prev.Threshold - min(prev.Threshold, have), nil
}

// signed: k members of prev signed next.
func (b *Bundle) signed(next *Bundle, payload []byte) error {
	count, err := b.count(next, payload)
	if err == nil && count < b.Threshold {
		err = fmt.Errorf("%w: too few members signed", ErrBundle)
	}
	return err
}

// count of good signatures. One that does not hold refuses the bundle.
func (b *Bundle) count(next *Bundle, payload []byte) (count uint64, err error) {
	for i, s := range next.Signatures {
		at := slices.IndexFunc(b.Members, func(m BundleMember) bool { return m.ID == s.Member })
		twice := slices.ContainsFunc(next.Signatures[:i], func(o BundleSignature) bool { return o.Member == s.Member })
		if at < 0 || twice {
			return 0, fmt.Errorf("%w: signed by one who is not a member", ErrBundle)
		}
		if err := next.statement(payload, s.Member).Verify(b.Members[at].Key, s.Value); err != nil {
			return 0, fmt.Errorf("%w: a signature does not hold", ErrBundle)
		}
		count++
	}
	return count, nil
}

type bundleJSON struct {
	trustJSON
	Prev       string                `json:"prev,omitempty"`
	Members    []bundleMemberJSON    `json:"members"`
	Threshold  uint64                `json:"threshold"`
	Signatures []bundleSignatureJSON `json:"signatures"`
}

type bundleMemberJSON struct {
	ID  string         `json:"id"`
	Key jsontext.Value `json:"key"`
}

type bundleSignatureJSON struct {
	Member    string `json:"member"`
	Signature string `json:"signature"`
}

// ParseBundle reads a bundle strictly; its signatures are not verified. Errors: registry.ErrMalformed, registry.ErrLimit.
func ParseBundle(file []byte) (*Bundle, error) {
	if len(file) > maxBundle {
		return nil, registry.ErrLimit
	}
	b, err := parseBundle(file)
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", registry.ErrMalformed)
	}
	return b, nil
}

var errBundleShape = errors.New("shape")

func parseBundle(file []byte) (*Bundle, error) {
	var j bundleJSON
	if err := json.Unmarshal(file, &j, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if j.Format != BundleFormat || len(j.Members) > maxMembers || len(j.Signatures) > maxMembers {
		return nil, errBundleShape
	}
	t, err := j.trust()
	if err != nil {
		return nil, err
	}
	b := &Bundle{Trust: t, Threshold: j.Threshold}
	if j.Prev != "" {
		prev, err := hex.DecodeString(j.Prev)
		if err != nil || len(prev) != 32 {
			return nil, errBundleShape
		}
		b.Prev = [32]byte(prev)
	}
	for _, m := range j.Members {
		key, err := registry.ParseJWK(m.Key)
		if err != nil {
			return nil, err
		}
		b.Members = append(b.Members, BundleMember{ID: m.ID, Key: key})
	}
	for _, s := range j.Signatures {
		value, err := base64.RawURLEncoding.Strict().DecodeString(s.Signature)
		if err != nil || len(value) != 64 {
			return nil, errBundleShape
		}
		b.Signatures = append(b.Signatures, BundleSignature{Member: s.Member, Value: value})
	}
	if !b.plausible() {
		return nil, errBundleShape
	}
	return b, nil
}

// Marshal is the bundle's file. Error: registry.ErrMalformed.
func (b *Bundle) Marshal() ([]byte, error) {
	if !b.plausible() {
		return nil, fmt.Errorf("trust bundle: %w", registry.ErrMalformed)
	}
	j := bundleJSON{trustJSON: b.Trust.json(), Threshold: b.Threshold, Signatures: []bundleSignatureJSON{}}
	j.Format = BundleFormat
	if b.Prev != ([32]byte{}) {
		j.Prev = hex.EncodeToString(b.Prev[:])
	}
	for _, m := range b.Members {
		jwk, err := m.Key.JWK()
		if err != nil {
			return nil, err
		}
		j.Members = append(j.Members, bundleMemberJSON{ID: m.ID, Key: jwk})
	}
	for _, s := range b.Signatures {
		j.Signatures = append(j.Signatures, bundleSignatureJSON{s.Member, base64.RawURLEncoding.EncodeToString(s.Value)})
	}
	out, err := json.Marshal(j, jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	return append(out, '\n'), nil
}
