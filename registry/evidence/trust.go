package evidence

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/registry"
)

// TrustFormat is the first member of a trust file.
const TrustFormat = "dojang-trust/1"

// A Trust is where checking starts: a chain, and a header with its validators that the reader trusts for a period.
// Without validators it trusts that one header (a published head) and nothing signed.
type Trust struct {
	Number         uint64 // of the bundle, in a chain of bundles
	Network        string
	ChainID        string
	Development    bool // one validator, no witness: production profiles refuse it
	Height         uint64
	Hash           [32]byte
	Time           time.Time // of that header
	Expires        time.Time // of the file; zero: never
	TrustingPeriod time.Duration
	// Validators of the next height: those that the header names as next, or its own where nothing changed.
	Validators ValidatorSet
}

type trustJSON struct {
	Format         string          `json:"format"`
	Number         uint64          `json:"number"`
	Network        string          `json:"network"`
	ChainID        string          `json:"chain_id"`
	Development    bool            `json:"development"`
	Height         uint64          `json:"height"`
	Hash           string          `json:"hash"`
	Time           string          `json:"time"`
	Expires        string          `json:"expires,omitempty"`
	TrustingPeriod int64           `json:"trusting_period_s"`
	Validators     []validatorJSON `json:"validators"`
}

type validatorJSON struct {
	PublicKey string `json:"public_key"`
	Power     int64  `json:"power"`
}

const maxTrustFile = 64 << 10

// A kept trust file also has the bundle whose successors are followed: its point is a published head, later than the bundle's own.
type keptJSON struct {
	trustJSON
	Bundle jsontext.Value `json:"bundle,omitempty"`
}

// LoadTrust reads what a reader keeps on its disk and believes: a trust file, or a trust bundle, which may be followed. Whose
// file it is has vouched for it: no signature of the bundle is looked at. Errors: registry.ErrMalformed, registry.ErrLimit.
func LoadTrust(file []byte) (Trust, *Bundle, error) {
	if len(file) > maxBundle {
		return Trust{}, nil, registry.ErrLimit
	}
	var j struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(file, &j) == nil && j.Format == BundleFormat {
		b, err := ParseBundle(file)
		if err != nil {
			return Trust{}, nil, err
		}
		return b.Trust, b, nil
	}
	var kept keptJSON
	if err := json.Unmarshal(file, &kept, json.RejectUnknownMembers(true)); err != nil || kept.Bundle == nil {
		t, err := ParseTrust(file)
		return t, nil, err
	}
	t, err := kept.trust()
	if err != nil || kept.Format != TrustFormat {
		return Trust{}, nil, fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	b, err := ParseBundle(kept.Bundle)
	if err == nil && !t.after(b) {
		err = fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	if err != nil {
		return Trust{}, nil, err
	}
	return t, b, nil
}

// after reports whether a trust point may stand in a file beside a bundle: of the same chain, and a later one.
func (t *Trust) after(b *Bundle) bool {
	return t.Network == b.Network && t.ChainID == b.ChainID && t.Development == b.Development && t.Number == b.Number &&
		t.Height > b.Height && t.Time.After(b.Time)
}

// MarshalTrust is the file from which LoadTrust reads a trust point and the bundle whose successors are followed; b nil: the trust
// file alone. Error: registry.ErrMalformed, the point is not a later one of the same chain.
func MarshalTrust(t Trust, b *Bundle) ([]byte, error) {
	if b == nil {
		return t.Marshal()
	}
	if !t.after(b) {
		return nil, fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	raw, err := b.Marshal()
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(keptJSON{trustJSON: t.json(), Bundle: raw}, jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return append(out, '\n'), nil
}

// ParseTrust reads a trust file strictly (registry/README.md, "Trust file"). Errors: registry.ErrMalformed, registry.ErrLimit.
func ParseTrust(file []byte) (Trust, error) {
	if len(file) > maxTrustFile {
		return Trust{}, registry.ErrLimit
	}
	var j trustJSON
	if err := json.Unmarshal(file, &j, json.RejectUnknownMembers(true)); err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	if j.Format != TrustFormat {
		return Trust{}, fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	return j.trust()
}

// trust reads everything but the format.
func (j *trustJSON) trust() (Trust, error) {
	t := Trust{
		Number: j.Number, Network: j.Network, ChainID: j.ChainID, Development: j.Development, Height: j.Height,
		TrustingPeriod: time.Duration(j.TrustingPeriod) * time.Second,
	}
	ok := j.TrustingPeriod >= 0 && j.TrustingPeriod < 1<<32 && len(j.Validators) <= MaxValidators && registry.ValidFragment(j.ChainID)
	if _, err := registry.ParseDID("did:dojang:" + j.Network + ":1"); err != nil {
		ok = false
	}
	h, err := hex.DecodeString(j.Hash)
	ok = ok && err == nil && len(h) == len(t.Hash)
	copy(t.Hash[:], h)
	ok = ok && parseTime(j.Time, &t.Time) && (j.Expires == "" || parseTime(j.Expires, &t.Expires))
	for _, v := range j.Validators {
		key, err := base64.RawURLEncoding.Strict().DecodeString(v.PublicKey)
		if err != nil || len(key) != 32 {
			ok = false
			break
		}
		t.Validators = append(t.Validators, Validator{PublicKey: [32]byte(key), Power: v.Power})
	}
	if len(t.Validators) > 0 {
		_, powered := t.Validators.power()
		ok = ok && powered
	}
	if !ok {
		return Trust{}, fmt.Errorf("trust file: %w", registry.ErrMalformed)
	}
	return t, nil
}

func parseTime(s string, t *time.Time) bool {
	parsed, err := time.Parse(time.RFC3339Nano, s)
	*t = parsed.UTC()
	return err == nil && s != "" && s[len(s)-1] == 'Z'
}

// Marshal is the trust file.
func (t Trust) Marshal() ([]byte, error) {
	b, err := json.Marshal(t.json(), jsontext.WithIndent("  "))
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return append(b, '\n'), nil
}

func (t *Trust) json() trustJSON {
	j := trustJSON{
		Format: TrustFormat, Number: t.Number, Network: t.Network, ChainID: t.ChainID, Development: t.Development,
		Height: t.Height, Hash: hex.EncodeToString(t.Hash[:]), Time: t.Time.UTC().Format(time.RFC3339Nano),
		TrustingPeriod: int64(t.TrustingPeriod / time.Second), Validators: []validatorJSON{},
	}
	if !t.Expires.IsZero() {
		j.Expires = t.Expires.UTC().Format(time.RFC3339Nano)
	}
	for _, v := range t.Validators {
		j.Validators = append(j.Validators, validatorJSON{base64.RawURLEncoding.EncodeToString(v.PublicKey[:]), v.Power})
	}
	return j
}

// A HeaderCache remembers header hashes whose signatures were verified before, so that Evidence under the same header
// costs no signature. Implementations are safe for concurrent use; Headers is one.
type HeaderCache interface {
	Known(height uint64, hash [32]byte) bool
	Add(height uint64, hash [32]byte)
}

// Headers is a HeaderCache of the newest headers; the zero value holds 1,024.
type Headers struct {
	mu    sync.Mutex
	known map[uint64][32]byte
	order []uint64
}

const headersKept = 1024

// Known implements HeaderCache.
func (h *Headers) Known(height uint64, hash [32]byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	have, ok := h.known[height]
	return ok && have == hash
}

// Add implements HeaderCache. The first header of a height stays: another would be a fork.
func (h *Headers) Add(height uint64, hash [32]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[uint64][32]byte{}
	}
	if _, ok := h.known[height]; ok {
		return
	}
	h.known[height] = hash
	h.order = append(h.order, height)
	if len(h.order) > headersKept {
		delete(h.known, h.order[0])
		h.order = h.order[1:]
	}
}
