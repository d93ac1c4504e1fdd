package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/issuer/records"
)

// An OfferRequest asks for a credential to be offered to a person.
type OfferRequest struct {
	Tenant string
	Type   string // short name, e.g. resident-id
	Person string // id in the agency's records
	Format string // "dc+sd-jwt"; "" is that
	TxCode *bool  // nil: the type's default
	Actor  string // who, for audit
}

// An Offered credential.
type Offered struct {
	ID       string // of the logical credential
	URI      string // openid-credential-offer://?credential_offer_uri=…
	ValueURI string // openid-credential-offer://?credential_offer=…
	TxCode   string // "" when none is expected
}

// Offer records an offer after checking that the person's record can be issued as it stands.
// Errors: ErrUnknownTenant, ErrUnknownType, ErrUnknownFormat, ErrNoRecord, *ClaimsError.
func (is *Issuer) Offer(ctx context.Context, r OfferRequest) (Offered, error) {
	t, c, err := is.offerable(r)
	if err != nil {
		return Offered{}, err
	}
	now := is.now()
	if _, err := is.dataset(ctx, datasetRequest{tenant: t, config: c, person: r.Person, slot: c.defaultSlot(), now: now}); err != nil {
		return Offered{}, err
	}
	id, err := orderedID(is.cfg.Random, now)
	if err != nil {
		return Offered{}, err
	}
	ref, err := token(is.cfg.Random, 16)
	if err != nil {
		return Offered{}, err
	}
	cred := Credential{
		ID: id, Tenant: t.ID, Type: c.typ.Name, Format: c.format, Person: r.Person, State: StateOffered,
		RefHash: sha256.Sum256([]byte(ref)), CodeHash: sha256.Sum256([]byte(codeOf(ref))), OfferedAt: now, OfferExpires: now.Add(is.cfg.OfferTTL),
	}
	out := Offered{ID: id}
	if r.TxCode == nil && c.typ.Assurance.TxCode || r.TxCode != nil && *r.TxCode {
		if out.TxCode, err = drawTxCode(is.cfg.Random); err != nil {
			return Offered{}, err
		}
		cred.TxHash = is.secrets.txMAC(id, out.TxCode)
	}
	entry := audit.Entry{Chain: t.ID, Actor: r.Actor, Action: "credential.offer", Object: id, Detail: "type=" + c.typ.Name}
	if err := is.cfg.Store.AddCredential(ctx, cred, entry); err != nil {
		return Offered{}, fmt.Errorf("record offer: %w", err)
	}
	is.step("offer.recorded")
	offer := t.offerObject(cred, ref)
	if out.URI, err = (oid4vci.OfferLink{URI: t.issuerURL + "/offers/" + ref}).URL(oid4vci.OfferScheme); err != nil {
		return Offered{}, err
	}
	out.ValueURI, err = (oid4vci.OfferLink{Offer: &offer}).URL(oid4vci.OfferScheme)
	return out, err
}

func (is *Issuer) offerable(r OfferRequest) (*tenant, *configuration, error) {
	t, err := is.tenant(r.Tenant)
	if err != nil {
		return nil, nil, err
	}
	if t.types[r.Type] == nil {
		return nil, nil, ErrUnknownType
	}
	format := r.Format
	if format == "" {
		format = oid4vci.FormatSDJWTVC
	}
	c := t.configs[ConfigurationID(r.Type, format)]
	if c == nil {
		return nil, nil, ErrUnknownFormat
	}
	if !records.ValidPerson(r.Person) {
		return nil, nil, ErrNoRecord
	}
	return t, c, nil
}

// OfferByReference is the offer object behind a credential_offer_uri, as long as its code may be redeemed. ErrNotFound
// is the same for unknown, used, withdrawn and expired (B12).
func (is *Issuer) OfferByReference(ctx context.Context, tenant, ref string) (oid4vci.Offer, error) {
	t, err := is.tenant(tenant)
	if err != nil || len(ref) != 22 {
		return oid4vci.Offer{}, ErrNotFound
	}
	c, err := is.cfg.Store.CredentialByRef(ctx, t.ID, sha256.Sum256([]byte(ref)))
	if err != nil {
		return oid4vci.Offer{}, err
	}
	if !c.redeemable(is.now()) {
		return oid4vci.Offer{}, ErrNotFound
	}
	return t.offerObject(c, ref), nil
}

func (t *tenant) offerObject(c Credential, ref string) oid4vci.Offer {
	grant := &oid4vci.PreAuthorizedCodeGrant{PreAuthorizedCode: codeOf(ref)}
	if c.TxHash != nil {
		grant.TxCode = &oid4vci.TxCode{InputMode: oid4vci.InputNumeric, Length: txDigits}
	}
	return oid4vci.Offer{
		CredentialIssuer:           t.issuerURL,
		CredentialConfigurationIDs: []string{ConfigurationID(c.Type, c.Format)},
		Grants:                     oid4vci.Grants{PreAuthorizedCode: grant},
	}
}

// codeOf derives the pre-authorized code from the offer's reference: so neither is stored, and whoever holds the
// reference could have fetched the code anyway.
func codeOf(ref string) string {
	m := hmac.New(sha256.New, []byte(ref))
	m.Write([]byte("dojang pre-authorized code v1"))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

const txDigits = 6

// drawTxCode is uniform over six digits.
func drawTxCode(random io.Reader) (string, error) {
	const space = 1_000_000
	var b [4]byte
	for range 64 {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return "", fmt.Errorf("draw transaction code: %w", err)
		}
		if n := binary.BigEndian.Uint32(b[:]); n < 1<<32/space*space {
			return fmt.Sprintf("%0*d", txDigits, n%space), nil
		}
	}
	return "", errors.New("issuer: randomness repeats itself")
}
