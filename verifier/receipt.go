package verifier

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// A Receipt is what a verifier signs about one judgement, to be checked by anyone for years: a compact JWS of typ
// dojang-receipt+jwt, kid = DID URL of the verifier's authentication key. It says what was checked under which policy
// text, by which facts, in force at T, as known at K; it holds no personal data and nothing that finds a credential
// again (no index, no key, no claim).
type Receipt struct {
	Issuer      registry.DID        `json:"iss"`
	IssuedAt    int64               `json:"iat"` // seconds
	ID          string              `json:"jti"` // of the transaction
	ClientID    string              `json:"client_id"`
	Policy      ReceiptPolicy       `json:"policy"`
	Decision    Decision            `json:"decision"`
	Code        Code                `json:"code"`
	Reason      Reason              `json:"reason,omitzero"`
	Detail      string              `json:"detail,omitzero"`
	StatusAsOf  int64               `json:"status_as_of,omitzero"` // seconds
	Credentials []ReceiptCredential `json:"credentials,omitzero"`
	// Presentation is the base64url SHA-256 over what was presented, Evidence that of the stapled Evidence.
	Presentation string   `json:"presentation"`
	Evidence     string   `json:"evidence,omitzero"`
	Warnings     []string `json:"warnings,omitzero"`
}

// A ReceiptPolicy names the text that was applied.
type ReceiptPolicy struct {
	Name      string   `json:"name"`
	Version   int      `json:"version"`
	Digest    string   `json:"digest"` // base64url SHA-256, see Policy.Digest
	Assurance []string `json:"assurance,omitzero"`
	AgeRule   string   `json:"age_rule,omitzero"`
}

// A ReceiptCredential says by which facts one credential was judged.
type ReceiptCredential struct {
	Query   string       `json:"query"`
	VCT     string       `json:"vct"`
	Issuer  registry.DID `json:"issuer"`
	Key     string       `json:"key"`
	InForce int64        `json:"in_force_at"` // T, seconds
	KnownAt int64        `json:"known_at"`    // K, seconds
	Height  uint64       `json:"height"`
	Epoch   uint64       `json:"status_epoch,omitzero"`
	Status  string       `json:"status,omitzero"`
	AsOf    int64        `json:"status_as_of,omitzero"`
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// receipt signs what was judged.
func (c *client) receipt(t Transaction, p *Policy, j Judgement, now time.Time) (string, error) {
	b64 := base64.RawURLEncoding
	digest := p.Digest()
	r := Receipt{
		Issuer: c.DID, IssuedAt: now.Unix(), ID: t.ID, ClientID: t.ClientID,
		Policy: ReceiptPolicy{Name: p.Name(), Version: p.Version(), Digest: b64.EncodeToString(digest[:]),
			Assurance: p.spec.Assurance, AgeRule: p.spec.Age.Rule},
		Decision: j.Decision, Code: j.Code, Reason: j.Reason, Detail: j.Detail, StatusAsOf: unix(j.StatusAsOf),
		Presentation: b64.EncodeToString(j.Basis.Presentation[:]), Warnings: j.Warnings,
	}
	if j.Basis.Evidence != [32]byte{} {
		r.Evidence = b64.EncodeToString(j.Basis.Evidence[:])
	}
	for _, b := range j.Basis.Credentials {
		r.Credentials = append(r.Credentials, ReceiptCredential{
			Query: b.Query, VCT: b.VCT, Issuer: b.Issuer, Key: b.Key, InForce: unix(b.InForce), KnownAt: unix(b.KnownAt),
			Height: b.Height, Epoch: b.Epoch, Status: b.Status, AsOf: unix(b.AsOf),
		})
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write receipt: %w", err)
	}
	text, err := keys.SignJWS(c.record, keys.Header{Typ: keys.TypVerificationRecord, Kid: c.DID.URL(c.KeyID)}, payload)
	if err != nil {
		return "", fmt.Errorf("sign receipt: %w", err)
	}
	return text, nil
}

// signedThen: receipts are not anchored in time, so that one under a key that was ever compromised may have been dated
// back: none counts. iat is in whole seconds, the beginning of a key is not.
func signedThen(k registry.Key, at time.Time) bool {
	return k.CompromisedFrom.IsZero() && !at.Before(k.ActiveFrom.Truncate(time.Second)) && (k.RetiredAt.IsZero() || at.Before(k.RetiredAt))
}

// ErrReceipt: the receipt is not one that this registry's verifier signed. Other errors of CheckReceipt wrap the
// registry's ErrUnavailable or ErrUntrusted.
var ErrReceipt = errors.New("verifier: receipt does not hold")

// CheckReceipt verifies a receipt against the registry: the signer's key was an authentication key of the verifier's
// DID in force when the receipt was made. It needs nothing of the verifier that made it.
func CheckReceipt(ctx context.Context, text string, r registry.Resolver, now time.Time) (Receipt, error) {
	jws, err := keys.ParseJWS(text, keys.Expect{Typ: keys.TypVerificationRecord})
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	did, keyID, err := registry.ParseDIDURL(jws.Header().Kid)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	fact, _, err := r.Key(ctx, did, keyID, time.Time{})
	if errors.Is(err, registry.ErrNotFound) {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	} else if err != nil {
		return Receipt{}, fmt.Errorf("resolve receipt key: %w", err)
	}
	public, err := keys.ParseJWK(fact.JWK)
	if err != nil || fact.DID != did || fact.ID != keyID || fact.Use != registry.UseAuthentication {
		return Receipt{}, fmt.Errorf("%w: key is not one for receipts", ErrReceipt)
	}
	payload, err := jws.Verify(public)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	var out Receipt
	if err := json.Unmarshal(payload, &out, json.RejectUnknownMembers(true)); err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if at := time.Unix(out.IssuedAt, 0); out.Issuer != did || !signedThen(fact, at) || at.Sub(now) > clockDrift {
		return Receipt{}, fmt.Errorf("%w: key was not in force", ErrReceipt)
	}
	return out, nil
}
