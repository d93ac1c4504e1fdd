package issuer

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// ConfigurationID names a credential configuration: `<type>_<format>`, e.g. resident-id_dc+sd-jwt.
func ConfigurationID(typ, format string) string { return typ + "_" + format }

// tenant is a Tenant with what is derived from it.
type tenant struct {
	Tenant
	issuerURL string // credential issuer and authorization server identifier
	listBase  string // URI of list n is listBase + n
	keyURL    string // kid
	types     map[string]*schemas.Type
	configs   map[string]*configuration
	press     *press
	head      *sdjwt.Head // of every credential
}

// A configuration is one type in one format.
type configuration struct {
	id     string
	typ    *schemas.Type
	format string
	lint   *typeLint
	slots  bool // the type has a pseudonym
}

func newTenant(t Tenant, cfg Config) (*tenant, error) {
	switch {
	case !validTenantID(t.ID):
		return nil, errors.New("id must be [a-z0-9-]{1,32}")
	case t.Key == nil || t.KeyID == "" || len(t.X5C) == 0:
		return nil, errors.New("key, key id and certificate chain are required")
	case t.Anchor == nil:
		return nil, errors.New("anchor is required")
	case len(t.Types) == 0 || t.Authority == "":
		return nil, errors.New("types and authority are required")
	}
	did, err := registry.ParseDID(string(t.DID))
	if err != nil {
		return nil, err
	}
	if _, _, err := registry.ParseDIDURL(did.URL(t.KeyID)); err != nil {
		return nil, err
	}
	x := &tenant{
		Tenant: t, issuerURL: cfg.URL + "/" + t.ID, listBase: cfg.StatusHost + "/" + did.ID() + "/", keyURL: did.URL(t.KeyID),
		types: map[string]*schemas.Type{}, configs: map[string]*configuration{}, press: &press{signer: t.Key},
	}
	if x.head, err = sdjwt.NewHead(keys.Header{Alg: x.alg(), Kid: x.keyURL, X5C: t.X5C}); err != nil {
		return nil, err
	}
	for _, name := range t.Types {
		typ, ok := schemas.Lookup(name)
		if !ok || typ.Name != name {
			return nil, fmt.Errorf("type %q is not in schemas", name)
		}
		_, slots := typ.Claim(claimPairwise)
		c := &configuration{id: ConfigurationID(name, oid4vci.FormatSDJWTVC), typ: typ, format: oid4vci.FormatSDJWTVC, lint: newTypeLint(typ), slots: slots}
		x.types[name], x.configs[c.id] = typ, c
	}
	return x, nil
}

func (t *tenant) listURI(n uint64) string { return t.listBase + strconv.FormatUint(n, 10) }

func (t *tenant) alg() string { return t.Key.Public().Alg() }

func validTenantID(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// slotNone is the copy without a pseudonym.
const slotNone = -1

// slotCount is how many pseudonym slots a wallet is offered; each is a credential_identifier (DESIGN 3).
const slotCount = 16

// identifiers of a configuration: one a slot, and one without a pseudonym.
func (c *configuration) identifiers() []string {
	ids := []string{c.id + "/none"}
	if c.slots {
		for i := range slotCount {
			ids = append(ids, c.id+"/"+strconv.Itoa(i))
		}
	}
	return ids
}

// slotOf reads a credential identifier of this configuration.
func (c *configuration) slotOf(identifier string) (int, bool) {
	i := slices.Index(c.identifiers(), identifier)
	return i - 1, i >= 0
}

// defaultSlot is what a request by configuration id gets: foreign wallets live in slot 0.
func (c *configuration) defaultSlot() int {
	if c.slots {
		return 0
	}
	return slotNone
}

// batch is the most proofs in one request and the most copies of one dataset.
func (c *configuration) batch() int {
	if c.typ.Batch > 0 {
		return c.typ.Batch
	}
	return 1
}
