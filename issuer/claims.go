package issuer

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/issuer/records"
	"github.com/dojang-id/dojang/schemas"
)

// Names of claims that this room sets itself.
const (
	claimPairwise  = "pairwise_id"
	claimNullifier = "program_nullifier"
)

// Names of a record's inputs: known to the agency, used to derive claims, never issued themselves.
const (
	InputBirthdate = "birthdate"       // YYYY-MM-DD
	InputLegalDong = "legal_dong_code" // 10 digits
	InputLastDay   = "valid_until"     // last day of the programme's window, YYYY-MM-DD
)

// datasetRequest asks for the claims of one person in one configuration.
type datasetRequest struct {
	tenant *tenant
	config *configuration
	person string
	slot   int
	now    time.Time

	sealedRecord, sealedPseudonym []byte // when the store has handed them out already
}

// A dataset is what every copy of a request says, checked against the schema.
type dataset struct {
	claims  []sdjwt.Claim // shared by all copies; salts are drawn per copy
	lastDay schemas.Date  // administrative expiry, last valid day
	today   schemas.Date
	sealed  []byte // the record of our own table, as it was read; nil: it came from elsewhere
}

// dataset reads the record, adds what is derived and the envelope, and validates the whole.
// Errors: ErrNoRecord, *ClaimsError.
func (is *Issuer) dataset(ctx context.Context, r datasetRequest) (dataset, error) {
	rec, err := is.record(ctx, r)
	var bad *records.ValueError
	if errors.As(err, &bad) {
		return dataset{}, &ClaimsError{[]Violation{{Claim: bad.Claim, Rule: bad.Rule}}}
	}
	if err != nil {
		return dataset{}, err
	}
	typ := r.config.typ
	claims := make(map[string]any, len(rec.Claims)+16)
	maps.Copy(claims, rec.Claims)
	d := dataset{today: schemas.DateOf(r.now)}
	if _, own := is.records.(tableRecords); own {
		d.sealed = r.sealedRecord
	}
	if d.lastDay, err = lastDay(typ, rec, d.today); err != nil {
		return dataset{}, &ClaimsError{[]Violation{{Claim: "date_of_expiry", Rule: "record"}}}
	}
	deriver{typ: typ, rec: rec, today: d.today, claims: claims}.derive()
	if err := is.pseudonyms(ctx, r, claims); err != nil {
		return dataset{}, err
	}
	r.tenant.envelope(typ, claims, d.today, d.lastDay)
	if d.lastDay.Before(d.today) {
		return dataset{}, &ClaimsError{[]Violation{{Claim: "date_of_expiry", Rule: "past"}}}
	}
	d.claims, err = is.checked(typ, claims)
	return d, err
}

// verdicts remembers which claims, byte for byte, have passed validation: what was offered a minute ago is not walked
// through the schema again. Only passes are kept; the digest covers every claim, so a changed record is a new question.
type verdicts struct {
	mu   sync.Mutex
	good map[[32]byte]bool
}

const maxVerdicts = 1 << 14

// checked validates claims and gives them the shape that is signed.
func (is *Issuer) checked(typ *schemas.Type, claims map[string]any) ([]sdjwt.Claim, error) {
	shaped, shapeErr := sdClaims(typ, claims)
	if shapeErr != nil { // what has no shape breaks a rule as well, and that is told by its name
		return nil, errors.Join(check(typ, claims, 0), shapeErr)
	}
	key := sha256.Sum256(append([]byte(typ.VCT+" "+typ.Version+"\n"), sdjwt.ObjectOf(shaped...).JSON()...))
	v := &is.verdicts
	v.mu.Lock()
	good := v.good[key]
	v.mu.Unlock()
	if good {
		return shaped, nil
	}
	if err := check(typ, claims, 0); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxVerdicts || v.good == nil {
		v.good = map[[32]byte]bool{}
	}
	v.good[key] = true
	return shaped, nil
}

// envelope is what the agency says of itself and of the document.
func (t *tenant) envelope(typ *schemas.Type, claims map[string]any, issued, last schemas.Date) {
	claims["issuing_authority"], claims["issuing_country"], claims["schema_version"] = t.Authority, "KR", typ.Version
	claims["date_of_issuance"], claims["date_of_expiry"] = issued.String(), last.String()
	if t.Jurisdiction != "" {
		claims["issuing_jurisdiction"] = t.Jurisdiction
	}
}

// check validates claims against the schema; row names the line of an import.
func check(typ *schemas.Type, claims map[string]any, row int) error {
	found := typ.Validate(claims)
	if len(found) == 0 {
		return nil
	}
	e := &ClaimsError{}
	for _, v := range found {
		e.Violations = append(e.Violations, Violation{Row: row, Claim: v.Claim, Rule: v.Rule})
	}
	return e
}

func lastDay(typ *schemas.Type, rec Record, today schemas.Date) (schemas.Date, error) {
	from, err := optionalDate(rec.Input(InputLastDay))
	if err != nil {
		return schemas.Date{}, err
	}
	birth, err := optionalDate(rec.Input(InputBirthdate))
	if err != nil {
		return schemas.Date{}, err
	}
	return typ.LastDay(today, from, birth)
}

func optionalDate(s string) (schemas.Date, error) {
	if s == "" {
		return schemas.Date{}, nil
	}
	return schemas.ParseDate(s)
}

// deriver adds the derived claims that the type knows and the record's facts allow; a fact that is missing adds nothing.
type deriver struct {
	typ    *schemas.Type
	rec    Record
	today  schemas.Date
	claims map[string]any
}

func (d deriver) derive() {
	d.name()
	d.ages()
	d.region()
	d.renewalWindow()
}

// set adds a claim unless the type does not know it or the agency has stated it.
func (d deriver) set(name string, value any) {
	if c, ok := d.typ.Claim(name); ok && c.Class != schemas.Never && d.claims[name] == nil {
		d.claims[name] = value
	}
}

func (d deriver) name() {
	family, _ := d.claims["family_name"].(string)
	given, _ := d.claims["given_name"].(string)
	if family != "" && given != "" {
		d.set("name", family+given)
	}
}

// ages are computed on the civil day of issue (age_over_NN) or on the programme's reference date (age_band_youth).
func (d deriver) ages() {
	birth, err := schemas.ParseDate(d.rec.Input(InputBirthdate))
	if err != nil {
		return
	}
	over := false
	for _, c := range d.typ.Claims {
		digits, ok := strings.CutPrefix(c.Path, "age_over_")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil {
			continue
		}
		if v, err := schemas.AgeOver(birth, d.today, n, schemas.Birthday); err == nil {
			d.set(c.Path, v)
			over = true
		}
	}
	if over {
		d.set("age_as_of", d.today.String())
		d.set("age_rule", string(schemas.Birthday))
	}
	on := d.today
	if text, ok := d.claims["reference_date"].(string); ok {
		if ref, err := schemas.ParseDate(text); err == nil {
			on = ref
		}
	}
	if in, err := (schemas.AgeBand{From: 19, To: 34, Rule: schemas.Birthday}).Holds(birth, on); err == nil {
		d.set("age_band_youth", in)
	}
}

func (d deriver) region() {
	code := d.rec.Input(InputLegalDong)
	if sido := schemas.SidoCode(code); sido != "" {
		d.set("resident_sido_code", sido)
		d.set("resident_sigungu_code", schemas.SigunguCode(code))
		return
	}
	if district, _ := d.claims["applied_sigungu_code"].(string); len(district) == 5 {
		d.set("resident_sido_code", district[:2])
	}
}

func (d deriver) renewalWindow() {
	text, _ := d.claims["valid_until"].(string)
	if until, err := schemas.ParseDate(text); err == nil {
		d.set("renewal_window", map[string]any{"from": until.AddDays(-30).String(), "until": until.AddDays(30).String()})
	}
}
