package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// SQLConfig describes an agency's own database as a source of records.
type SQLConfig struct {
	DB *sqldb.DB
	// Queries by type: one ? for the person's id, the answer's columns in the order of Columns, all text.
	// SELECT family_name, given_name FROM residents WHERE id = ?
	Queries map[string]SQLQuery
}

// A SQLQuery reads one person.
type SQLQuery struct {
	Query   string
	Columns []Column // Header is for people; the order counts
}

// SQL reads records from an agency's database, read-only, one query a person. It serves one tenant.
type SQL struct {
	tenant string
	cfg    SQLConfig
}

// NewSQL refuses queries that are not one SELECT with one parameter.
func NewSQL(tenant string, cfg SQLConfig) (*SQL, error) {
	if cfg.DB == nil || len(cfg.Queries) == 0 {
		return nil, errors.New("records: database and queries are required")
	}
	for typ, q := range cfg.Queries {
		if !strings.HasPrefix(strings.ToUpper(strings.TrimSpace(q.Query)), "SELECT ") || strings.Count(q.Query, "?") != 1 ||
			strings.Contains(q.Query, ";") || len(q.Columns) == 0 || len(q.Columns) > maxColumns {
			return nil, fmt.Errorf("records: query for %s must be one SELECT with one parameter and a column list", typ)
		}
	}
	return &SQL{tenant: tenant, cfg: cfg}, nil
}

// Record implements issuer.RecordSource. Errors: ErrNone; a *ValueError when a cell cannot be read.
func (s *SQL) Record(ctx context.Context, tenant, typ, person string) (Record, error) {
	q, ok := s.cfg.Queries[typ]
	if tenant != s.tenant || !ok || !ValidPerson(person) {
		return Record{}, ErrNone
	}
	cells := make([]*string, len(q.Columns))
	err := s.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		dest := make([]any, len(cells))
		for i := range cells {
			dest[i] = &cells[i]
		}
		return tx.QueryRow(q.Query, slices.Clip([]any{person})...).Scan(dest...)
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return Record{}, ErrNone
	}
	if err != nil {
		return Record{}, fmt.Errorf("query record: %w", err)
	}
	rec := Record{Claims: map[string]any{}, Inputs: map[string]string{}}
	for i, c := range q.Columns {
		if cells[i] == nil {
			continue
		}
		rule := checkCell(*cells[i])
		if rule == "" {
			rule = c.put(&rec, *cells[i])
		}
		if rule != "" {
			return Record{}, &ValueError{Claim: c.Claim, Rule: rule}
		}
	}
	return rec, nil
}

// ValueError: a cell of the agency's database breaks a rule.
type ValueError struct{ Claim, Rule string }

func (e *ValueError) Error() string { return "records: " + e.Claim + ": " + e.Rule }
