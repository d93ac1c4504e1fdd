package issuer

import (
	"errors"
	"sync/atomic"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
)

// press holds a tenant's signing key. Nothing else of the issuer sees it, and credentials need a signingGrant.
type press struct {
	signer keys.Signer
	count  atomic.Int64 // signatures of credentials since start
}

// A signingGrant names one recorded intent and is good for one signature. Only granted makes one, of an issuance that
// the store has acknowledged.
type signingGrant struct {
	tbs  [32]byte
	used bool
}

// granted turns the intents of an acknowledged issuance into grants.
func granted(i Issuance) []*signingGrant {
	grants := make([]*signingGrant, len(i.Intents))
	for n := range i.Intents {
		grants[n] = &signingGrant{tbs: i.Intents[n].TBS}
	}
	return grants
}

var errGrant = errors.New("issuer: the grant does not cover these bytes")

// sign uses the grant up. The bytes must be those of the intent.
func (p *press) sign(g *signingGrant, prepared *sdjwt.Prepared) (string, error) {
	if g.used || prepared.Digest() != g.tbs {
		return "", errGrant
	}
	g.used = true
	p.count.Add(1)
	return prepared.Sign(p.signer)
}

// signList signs a status list in both formats: same key as the credentials (INTEROP), no grant, the values come from the store.
func (p *press) signList(h keys.Header, c statuslist.Claims) (jwt, cwt []byte, err error) {
	if jwt, err = statuslist.SignJWT(p.signer, h, c); err == nil {
		cwt, err = statuslist.SignCWT(p.signer, h, c)
	}
	return jwt, cwt, err
}

// signLink signs that an origin is the tenant's: an assertion of the DID, no credential of a person, no grant.
func (p *press) signLink(h keys.Header, payload []byte) (string, error) {
	return keys.SignJWS(p.signer, h, payload)
}
