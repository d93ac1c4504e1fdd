package issuer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
)

// A TokenRequest is a token request whose client and DPoP proof were checked.
type TokenRequest struct {
	Tenant   string
	Form     oid4vci.TokenRequest
	ClientID string // of a verified wallet attestation, or what an anonymous wallet calls itself; may be ""
	JKT      string // thumbprint of the verified DPoP key; "" for a bearer token
}

var errInvalidGrant = oauth.NewError(oauth.InvalidGrant, "code is not valid")

// Redeem exchanges a pre-authorized code for an access token, once. Everything is checked before the code is burned: a
// wrong transaction code leaves it usable (B04), the fifth wrong one does not (B03).
func (is *Issuer) Redeem(ctx context.Context, r TokenRequest) (oid4vci.TokenResponse, error) {
	t, err := is.tenant(r.Tenant)
	if err != nil {
		return oid4vci.TokenResponse{}, err
	}
	now := is.now()
	access, err := accessToken(is.cfg.Random, now)
	if err != nil {
		return oid4vci.TokenResponse{}, err
	}
	var out oid4vci.TokenResponse
	var g Grant
	err = is.cfg.Store.Redeem(ctx, t.ID, sha256.Sum256([]byte(r.Form.PreAuthorizedCode)), func(c Credential, s Sealed) Redemption {
		details, red := is.judge(t, r, c, now)
		if red.Refuse != nil {
			return red
		}
		red.Grant = Grant{
			Token: grantKey(access), JKT: r.JKT, ClientID: r.ClientID, Slots: len(details) > 0,
			Allowance: allowance(t, c, details), MadeAt: now, ExpiresAt: now.Add(is.cfg.TokenTTL), Credential: c, Sealed: s,
		}
		g = red.Grant
		red.Entry = audit.Entry{Chain: t.ID, Actor: "holder", Action: "offer.redeem", Object: c.ID}
		out.AuthorizationDetails = details
		return red
	})
	if errors.Is(err, ErrNotFound) {
		return oid4vci.TokenResponse{}, errInvalidGrant
	}
	if err != nil {
		return oid4vci.TokenResponse{}, fmt.Errorf("redeem code: %w", err)
	}
	g.Credential.State = StateAuthorized
	is.redeemed.put(g)
	is.step("token.redeemed")
	out.AccessToken, out.TokenType, out.ExpiresIn = access, oauth.SchemeBearer, int64(is.cfg.TokenTTL/time.Second)
	if r.JKT != "" {
		out.TokenType = oauth.SchemeDPoP
	}
	return out, nil
}

// judge is the decision on a locked credential, without effects.
func (is *Issuer) judge(t *tenant, r TokenRequest, c Credential, now time.Time) ([]oid4vci.AuthorizationDetail, Redemption) {
	if !c.redeemable(now) {
		return nil, Redemption{Refuse: errInvalidGrant}
	}
	if err := r.Form.CheckTxCode(c.TxHash != nil); err != nil {
		return nil, Redemption{Refuse: err}
	}
	details, err := t.authorize(c, r.Form.AuthorizationDetails)
	if err != nil {
		return nil, Redemption{Refuse: err}
	}
	if c.TxHash != nil && !hmac.Equal(c.TxHash, is.secrets.txMAC(c.ID, r.Form.TxCode)) {
		entry := audit.Entry{Chain: t.ID, Actor: "holder", Action: "offer.wrong_tx_code", Object: c.ID}
		if c.TxFailures+1 >= maxTxFailures {
			entry.Action = "offer.invalidated"
		}
		return nil, Redemption{Refuse: errInvalidGrant, Failed: true, Entry: entry}
	}
	return details, Redemption{}
}

// authorize answers authorization_details with the identifiers of the datasets that may be asked for (B23). Without
// them the wallet asks by configuration id and lives in the default slot.
func (t *tenant) authorize(c Credential, asked []oid4vci.AuthorizationDetail) ([]oid4vci.AuthorizationDetail, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	id := ConfigurationID(c.Type, c.Format)
	for _, a := range asked {
		if a.Type != oid4vci.AuthorizationDetailType || a.CredentialConfigurationID != id || len(a.Locations) > 0 && !slices.Contains(a.Locations, t.issuerURL) {
			return nil, oauth.NewError(oauth.InvalidAuthorizationDetails, "the offer is for another credential")
		}
	}
	return []oid4vci.AuthorizationDetail{{
		Type: oid4vci.AuthorizationDetailType, CredentialConfigurationID: id, CredentialIdentifiers: t.configs[id].identifiers(),
	}}, nil
}

// allowance is one batch a dataset.
func allowance(t *tenant, c Credential, details []oid4vci.AuthorizationDetail) int {
	conf := t.configs[ConfigurationID(c.Type, c.Format)]
	n := conf.batch()
	if len(details) > 0 {
		n *= len(conf.identifiers())
	}
	return n
}

// Grant finds what an access token allows. The caller checks how the token was presented (JKT). Unknown, expired and
// another tenant's tokens are invalid_token alike.
func (is *Issuer) Grant(ctx context.Context, tenant, access string) (Grant, error) {
	g, ok := is.redeemed.take(tenant, grantKey(access))
	var err error
	if !ok {
		g, err = is.cfg.Store.Grant(ctx, tenant, grantKey(access))
	}
	if errors.Is(err, ErrNotFound) || err == nil && !is.now().Before(g.ExpiresAt) {
		return Grant{}, oauth.NewError(oauth.InvalidToken, "access token is not valid")
	}
	return g, err
}

// accessToken is base64url of the time and 32 random bytes.
func accessToken(random io.Reader, now time.Time) (string, error) {
	var b [stampLen + 32]byte
	stamp(b[:], now)
	if _, err := io.ReadFull(random, b[stampLen:]); err != nil {
		return "", fmt.Errorf("draw token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// grantKey is what is stored of an access token: its time, so that grants of one moment lie together in an index, and 208
// bits of its SHA-256. A token that we did not make has a key that no grant has.
func grantKey(access string) [32]byte {
	sum := sha256.Sum256([]byte(access))
	var key [32]byte
	copy(key[stampLen:], sum[:])
	var head [stampLen]byte
	if len(access) > 8 {
		if b, err := base64.RawURLEncoding.DecodeString(access[:8]); err == nil {
			copy(head[:], b)
		}
	}
	copy(key[:], head[:])
	return key
}
