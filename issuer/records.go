package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/issuer/records"
	"github.com/dojang-id/dojang/schemas"
)

// A Record is what an agency keeps about a person for one type: claims, and inputs that claims are derived from.
type Record = records.Record

// A RecordSource answers what an agency knows about people. Implementations: the store's table that imports fill, and
// records.SQL over an agency's own database.
type RecordSource interface {
	// Record returns a person's record for a type (short name), before derived claims are added; records.ErrNone when
	// there is none. The caller does not change it.
	Record(ctx context.Context, tenant, typ, person string) (Record, error)
}

// tableRecords are the imported records.
type tableRecords struct {
	store   RecordStore
	secrets *secrets
}

func recordPlace(tenant, typ, person string) string {
	return "record/" + tenant + "/" + typ + "/" + person
}

func (t tableRecords) Record(ctx context.Context, tenant, typ, person string) (Record, error) {
	sealed, err := t.store.SealedRecord(ctx, tenant, typ, person)
	if err != nil {
		return Record{}, err
	}
	return t.open(sealed, tenant, typ, person)
}

func (t tableRecords) open(sealed []byte, tenant, typ, person string) (Record, error) {
	plain, err := t.secrets.open(sealed, recordPlace(tenant, typ, person))
	if err != nil {
		return Record{}, err
	}
	var rec Record
	if json.Unmarshal(plain, &rec) != nil { // the decoder's text may quote the record
		return Record{}, errors.New("issuer: sealed record does not decode")
	}
	return rec, nil
}

// record is the source's; that of the own table may have come with the grant.
func (is *Issuer) record(ctx context.Context, r datasetRequest) (Record, error) {
	if table, own := is.records.(tableRecords); own && r.sealedRecord != nil {
		return table.open(r.sealedRecord, r.tenant.ID, r.config.typ.Name, r.person)
	}
	return is.records.Record(ctx, r.tenant.ID, r.config.typ.Name, r.person)
}

// An ImportRequest brings one file of records.
type ImportRequest struct {
	Tenant string
	Type   string
	File   []byte // CSV, UTF-8 (with or without BOM) or CP949
	Actor  string
}

// Import replaces the records of the people in the file, all or none, and says how many. A file with a row that could
// not be issued is refused as a whole: *ClaimsError names rows and rules, never values. Other errors: ErrUnknownTenant,
// ErrUnknownType, records.ErrFile.
func (is *Issuer) Import(ctx context.Context, r ImportRequest) (int, error) {
	t, err := is.tenant(r.Tenant)
	if err != nil {
		return 0, err
	}
	typ := t.types[r.Type]
	if typ == nil {
		return 0, ErrUnknownType
	}
	rows, problems, err := records.ParseCSV(r.File, typ.Name)
	if err != nil {
		return 0, err
	}
	refused := &ClaimsError{}
	for _, p := range problems {
		refused.Violations = append(refused.Violations, Violation{Row: p.Row, Claim: p.Claim, Rule: p.Rule})
	}
	sealed := make([]SealedRecord, 0, len(rows))
	for i, row := range rows {
		if row.Person == "" { // reported above
			continue
		}
		if e := is.importable(t, typ, row.Record, i+1); e != nil {
			refused.Violations = append(refused.Violations, e.Violations...)
			continue
		}
		s, err := is.sealRecord(t.ID, typ.Name, row)
		if err != nil {
			return 0, err
		}
		sealed = append(sealed, s)
	}
	if len(refused.Violations) > 0 {
		return 0, refused
	}
	entry := audit.Entry{Chain: t.ID, Actor: r.Actor, Action: "records.import", Object: typ.Name, Detail: "people=" + strconv.Itoa(len(sealed))}
	if err := is.cfg.Store.PutRecords(ctx, t.ID, typ.Name, sealed, entry); err != nil {
		return 0, fmt.Errorf("store records: %w", err)
	}
	return len(sealed), nil
}

// importable completes a row as issuing would today, without pseudonyms, and validates it.
func (is *Issuer) importable(t *tenant, typ *schemas.Type, rec Record, row int) *ClaimsError {
	today := schemas.DateOf(is.now())
	claims := maps.Clone(rec.Claims)
	last, lastErr := lastDay(typ, rec, today)
	if lastErr != nil || last.Before(today) { // a lapsed record may be imported; it cannot be offered
		last = today
	}
	deriver{typ: typ, rec: rec, today: today, claims: claims}.derive()
	t.envelope(typ, claims, today, last)
	var refused *ClaimsError
	if err := check(typ, claims, row); errors.As(err, &refused) {
		return refused
	}
	if lastErr != nil { // an input that no claim shows
		return &ClaimsError{[]Violation{{Row: row, Claim: "date_of_expiry", Rule: "record"}}}
	}
	return nil
}

func (is *Issuer) sealRecord(tenant, typ string, row records.Row) (SealedRecord, error) {
	var plain bytes.Buffer
	if err := json.MarshalWrite(&plain, row.Record, json.Deterministic(true)); err != nil {
		return SealedRecord{}, fmt.Errorf("encode record: %w", err)
	}
	sealed, err := is.secrets.seal(plain.Bytes(), recordPlace(tenant, typ, row.Person))
	return SealedRecord{Person: row.Person, Sealed: sealed}, err
}

// draw fills b with randomness.
func (is *Issuer) draw(b []byte) error {
	if _, err := io.ReadFull(is.cfg.Random, b); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}
