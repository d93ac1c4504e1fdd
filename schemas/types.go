package schemas

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

// The policies of draft-ietf-oauth-sd-jwt-vc section 5.6.3.
const (
	SDAlways  SD = "always"  // every such path becomes a Disclosure of its own
	SDAllowed SD = "allowed" // the issuer may choose; our types do not use it
	SDNever   SD = "never"   // in clear in the signed payload
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
	SD        SD
	Required  bool     // the issuer must include it
	Envelope  bool     // of the common envelope, described once in envelope.json
	Reserved  bool     // set by the issuer's signing step, never by a record: vct, iss, iat, nbf, exp, cnf, status
	Legal     []string // class L: any of these legal-basis codes opens it
	Mdoc      string   // element identifier in the mdoc namespace; "" = same as Path's first part
	Sensitive bool     // screens hide it until asked for (portrait, address)
}

// Validity is how long a document of this type lives. Administrative dates are Korean civil days, last day included.
type Validity struct {
	Years        int    `json:"years,omitempty"`       // last valid day = issue day + years - 1 day
	Days         int    `json:"days,omitempty"`        // last valid day = issue day + days
	FromRecord   bool   `json:"from_record,omitempty"` // the record names the last day (window of a programme)
	BeforeAge    int    `json:"before_age,omitempty"`  // never past the day before this birthday; 0: no such cap
	MinExpDays   int    `json:"min_exp_days"`          // technical exp at least so many days ahead: freshness comes from the status list
	RoundExpDays bool   `json:"round_exp_days"`        // technical times are rounded to the day, so that copies do not link
	Unconfirmed  bool   `json:"unconfirmed,omitempty"` // the rule is not confirmed by a law or an agency
	AsOf         string `json:"as_of,omitempty"`       // since when the configuration says so
}

// Renewal is what status 3 means for the type.
type Renewal struct {
	Code string `json:"code"` // ADDRESS or PENDING_CHANGE: travels with NEEDS_RENEWAL
	Text Text   `json:"text"`
}

// Assurance is what a holder must prove by default before an issuer hands the document over.
type Assurance struct {
	TxCode    bool   `json:"tx_code"`    // transaction code with the offer
	KeyLevel  string `json:"key_level"`  // lowest attack-potential resistance of the holder's key: "" (software), iso_18045_basic, …_high
	OneDevice bool   `json:"one_device"` // one active device a person
}

// A LegalBasis names a law that lets a verifier ask for a class L claim.
type LegalBasis struct {
	Code string `json:"code"`
	Text Text   `json:"text"`
}

// A Type is one credential type as its folder describes it. Read-only.
type Type struct {
	Name       string // short name and folder: resident-id
	Major      int
	Version    string // schema_version, semver
	VCT        string
	DocType    string
	Namespace  string
	Label      Text
	Claims     []Claim // envelope first, then in the order of the document
	Validity   Validity
	Renewal    Renewal
	Batch      int // default number of copies
	Assurance  Assurance
	LegalBases []LegalBasis // what an issuer's accreditation must name

	*source
}
