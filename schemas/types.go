package schemas

import "github.com/santhosh-tekuri/jsonschema/v6"

// A Class says who may see a claim (see README, "Disclosure classes").
type Class string

// The classes of the house. A path that has no class does not exist.
const (
	Mandatory Class = "M" // always disclosed: part of the envelope or of what makes the document mean anything
	Optional  Class = "O" // the holder may disclose it when asked
	Derived   Class = "D" // derived, offered instead of an Optional value
	Legal     Class = "L" // only to a verifier whose registration carries a matching legal-basis code
	Never     Class = "X" // in no credential of this type; a request that names it is refused
)

// SD is the selective-disclosure policy of SD-JWT VC type metadata.
type SD string

// The policies of draft-ietf-oauth-sd-jwt-vc, claim metadata "sd". Our types do not use "allowed".
const (
	SDAlways SD = "always" // every such path becomes a Disclosure of its own
	SDNever  SD = "never"  // not on its own: in clear, or inside of the Disclosure of its parent
)

// A Text is one text in the two languages of the house.
type Text struct {
	Ko string `json:"ko"`
	En string `json:"en"`
}

// In picks the language by tag; anything that is not Korean reads English.
func (t Text) In(lang string) string {
	if len(lang) >= 2 && lang[:2] == "ko" {
		return t.Ko
	}
	return t.En
}

// A Claim is one path of a type. Paths are dotted; "[]" is every element of an array: "address.region",
// "delivery_postal_codes[]", "criteria[].result".
type Claim struct {
	Path      string
	Label     Text
	Class     Class
	SD        SD       // "" for class X
	Required  bool     // the issuer must include it
	Reserved  bool     // set by the signing step, never by a record: vct, iss, nbf, exp, cnf, status
	Legal     []string // class L: any of these legal-basis codes opens it
	Mdoc      string   // element identifier in the mdoc namespace; "" for what an mdoc carries elsewhere or inside of its parent
	Sensitive bool     // screens hide it until asked for
}

// Validity is how long a document of a type lives. Administrative days are Korean civil days, last day included.
type Validity struct {
	FromRecord   bool   `json:"from_record,omitzero"` // the record may name the last day (a programme's window, a code's year)
	Years        int    `json:"years,omitzero"`       // otherwise: last valid day = issue day + years - 1 day
	Days         int    `json:"days,omitzero"`        // otherwise: last valid day = issue day + days
	BeforeAge    int    `json:"before_age,omitzero"`  // never past the day before this birthday; 0: no such cap
	MinExpDays   int    `json:"min_exp_days"`         // technical exp at least so far ahead: freshness comes from the status list
	RoundExpDays bool   `json:"round_exp_days"`       // technical times are whole Korean days, so that copies do not link
	AsOf         string `json:"as_of"`                // since when the configuration says so
	Unconfirmed  bool   `json:"unconfirmed,omitzero"` // not confirmed by a law or an agency: may change with the data
}

// Renewal is what status 3 means for a type.
type Renewal struct {
	Code string `json:"code"` // ADDRESS or PENDING_CHANGE: travels with NEEDS_RENEWAL
	Text Text   `json:"text"`
}

// Assurance is what a holder must prove by default before the document is handed over.
type Assurance struct {
	TxCode    bool   `json:"tx_code"`    // a transaction code beside the offer
	KeyLevel  string `json:"key_level"`  // lowest attack-potential resistance of the holder's key; "" admits software
	OneDevice bool   `json:"one_device"` // one active device a person
}

// A LegalBasis is a law: what an issuer's accreditation names, and what opens class L to a verifier.
type LegalBasis struct {
	Code string `json:"code"`
	Text Text   `json:"text"`
}

// A Type is one credential type as its folder describes it. Read-only, safe for concurrent use.
type Type struct {
	Name       string // short name and folder: resident-id
	Major      int
	Version    string // the claim schema_version, semver
	VCT        string
	DocType    string
	Namespace  string // of the mdoc, equal to DocType
	Label      Text
	Claims     []Claim // of the type metadata in its order, then class X
	Validity   Validity
	Renewal    Renewal
	Batch      int // default number of copies
	Assurance  Assurance
	LegalBases []LegalBasis
	Bands      map[string]AgeBand // claim -> ages for which it is true

	*source
}

// source is a type's documents as they are served, and what was compiled from them.
type source struct {
	metadata []byte
	schema   []byte
	digest   [32]byte
	compiled *jsonschema.Schema
	rules    []Rule
	reserved map[string]bool
	order    map[string]int // :: path -> position in Claims
}

// Rules are the cross-field rules in the order in which they are checked.
func (t *Type) Rules() []Rule { return t.rules }

// TypeMetadata is the SD-JWT VC type metadata as served, byte for byte (application/json).
func (t *Type) TypeMetadata() []byte { return t.metadata }

// Digest is SHA-256 of TypeMetadata: the type digest on the chain.
func (t *Type) Digest() [32]byte { return t.digest }

// JSONSchema is the JSON Schema 2020-12 of a record's claims, as served.
func (t *Type) JSONSchema() []byte { return t.schema }

// Claim finds a path; false when the type does not know it.
func (t *Type) Claim(path string) (Claim, bool) {
	at, ok := t.order[path]
	if !ok {
		return Claim{}, false
	}
	return t.Claims[at], true
}

// Disclosable reports whether the path is a Disclosure of its own (sd "always").
func (t *Type) Disclosable(path string) bool {
	c, ok := t.Claim(path)
	return ok && c.SD == SDAlways
}
