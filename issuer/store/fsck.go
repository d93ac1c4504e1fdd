package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
)

// counted is an invariant that SQL can count: what was looked at, and queries that find contradictions.
type counted struct {
	id         string
	checked    string
	violations []string
}

var invariants = []counted{
	{ // every recorded byte string has its intent, a key, an issued issuance and a credential to revoke; all of a request or none
		id: "I1", checked: `SELECT COUNT(*) FROM ledger`,
		violations: []string{
			`SELECT COUNT(*) FROM ledger l LEFT JOIN issuances i ON i.id = l.issuance
			 LEFT JOIN copies p ON p.credential = i.credential AND p.issuance = l.issuance AND p.attempt = l.attempt AND p.n = l.n
			 LEFT JOIN credentials c ON c.id = i.credential
			 WHERE i.id IS NULL OR p.issuance IS NULL OR c.id IS NULL OR i.state <> 'issued' OR i.attempt <> l.attempt OR i.key_id = '' OR p.thumbprint = ''`,
			`SELECT COUNT(*) FROM (SELECT 1 AS x FROM ledger GROUP BY credential_hash HAVING COUNT(*) > 1) d`,
			`SELECT COUNT(*) FROM issuances i WHERE i.state = 'issued' AND i.copies <> (SELECT COUNT(*) FROM ledger l WHERE l.issuance = i.id)`,
			`SELECT COUNT(*) FROM issuances i WHERE i.state <> 'issued' AND EXISTS (SELECT 1 FROM ledger l WHERE l.issuance = i.id)`,
			`SELECT COUNT(*) FROM notices n LEFT JOIN issuances i ON i.id = n.issuance WHERE i.id IS NULL OR i.state <> 'issued'`,
		},
	},
	{ // no index twice, none outside of its list, no two intents for the same bytes
		id: "I2", checked: `SELECT COUNT(*) FROM copies`,
		violations: []string{
			`SELECT COUNT(*) FROM (SELECT 1 AS x FROM copies GROUP BY tenant, list, idx HAVING COUNT(*) > 1) d`,
			`SELECT COUNT(*) FROM copies p LEFT JOIN status_lists s ON s.tenant = p.tenant AND s.list = p.list WHERE s.list IS NULL OR p.idx < 0 OR p.idx >= s.length`,
			`SELECT COUNT(*) FROM (SELECT 1 AS x FROM copies GROUP BY tbs_hash HAVING COUNT(*) > 1) d`,
		},
	},
	{ // an attempt has as many intents as copies
		id: "I3", checked: `SELECT COUNT(*) FROM issuances`,
		violations: []string{
			`SELECT COUNT(*) FROM issuances i WHERE i.copies <> (SELECT COUNT(*) FROM copies p WHERE p.credential = i.credential AND p.issuance = i.id AND p.attempt = i.attempt)`,
		},
	},
	{ // one redemption a code, no grant beyond its allowance
		id: "I4", checked: `SELECT COUNT(*) FROM grants`,
		violations: []string{
			`SELECT COUNT(*) FROM (SELECT 1 AS x FROM grants GROUP BY credential HAVING COUNT(*) > 1) d`,
			`SELECT COUNT(*) FROM grants g WHERE g.copies > g.allowance OR g.copies <> (SELECT COALESCE(SUM(i.copies), 0) FROM issuances i WHERE i.grant_hash = g.token_hash)`,
			`SELECT COUNT(*) FROM credentials c LEFT JOIN grants g ON g.credential = c.id WHERE (c.state IN ('authorized', 'issued') AND g.credential IS NULL) OR (c.state = 'offered' AND g.credential IS NOT NULL)`,
			`SELECT COUNT(*) FROM credentials c JOIN grants g ON g.credential = c.id JOIN issuances i ON i.grant_hash = g.token_hash WHERE c.state = 'authorized' AND i.state = 'issued'`,
		},
	},
}

// epochs is I6 as far as SQL can count it: in what was anchored iat, coverage and number of lists never go back. What the
// chain refused nobody has seen.
const epochs = `SELECT COUNT(*) FROM (
		SELECT iat, covers, lists, LAG(iat) OVER t AS before_iat, LAG(covers) OVER t AS before_covers, LAG(lists) OVER t AS before_lists
		FROM publications WHERE height > 0 WINDOW t AS (PARTITION BY tenant ORDER BY sequence)) anchored
	WHERE iat <= before_iat OR covers < before_covers OR lists < before_lists`

// Invariants implements issuer.Checker.
func (s *Store) Invariants(ctx context.Context) ([]issuer.Row, error) {
	var out []issuer.Row
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		for _, c := range invariants {
			r := issuer.Row{ID: c.id}
			if err := tx.QueryRow(c.checked).Scan(&r.Checked); err != nil {
				return fmt.Errorf("%s: %w", c.id, err)
			}
			for _, q := range c.violations {
				var n int64
				if err := tx.QueryRow(q).Scan(&n); err != nil {
					return fmt.Errorf("%s: %w", c.id, err)
				}
				r.Violations += n
			}
			out = append(out, r)
		}
		i5, i6, err := published(tx)
		out = append(out, i5, i6)
		return err
	})
	return out, err
}

// servedList is a row of published_lists beside what it must agree with.
type servedList struct {
	tenant                         string
	list, sequence, length, newest int64
	token, cwt, record             []byte
}

// published checks what is served: I5, every covered change is in the list; I6, list, record and epoch agree.
func published(tx *sqldb.Tx) (i5, i6 issuer.Row, err error) {
	i5, i6 = issuer.Row{ID: "I5"}, issuer.Row{ID: "I6"}
	if err := tx.QueryRow(`SELECT COUNT(*) FROM publications`).Scan(&i6.Checked); err != nil {
		return i5, i6, err
	}
	if err := tx.QueryRow(epochs).Scan(&i6.Violations); err != nil {
		return i5, i6, err
	}
	var served []servedList
	err = query(tx, func(scan func(...any) error) error {
		var l servedList
		served = append(served, l)
		p := &served[len(served)-1]
		return scan(&p.tenant, &p.list, &p.sequence, &p.length, &p.newest, &p.token, &p.cwt, &p.record)
	}, `SELECT d.tenant, d.list, d.sequence, s.length, (SELECT MAX(p.sequence) FROM publications p WHERE p.tenant = d.tenant), d.token, d.cwt, d.record
		FROM published_lists d JOIN status_lists s ON s.tenant = d.tenant AND s.list = d.list ORDER BY d.tenant, d.list`)
	if err != nil {
		return i5, i6, err
	}
	for _, l := range served {
		values, err := l.values()
		if err != nil || l.sequence != l.newest {
			i6.Violations++
			continue
		}
		if err := l.compare(tx, values, &i5); err != nil {
			return i5, i6, err
		}
	}
	return i5, i6, nil
}

// values reads the tokens as the record vouches for them: digest of the bytes, root of the values. The signature is not
// looked at: a store knows no keys.
func (l servedList) values() (statuslist.Values, error) {
	rec, err := statuslist.ParseRecord(l.record)
	if err != nil {
		return statuslist.Values{}, err
	}
	if int64(rec.Length) != l.length || (l.cwt == nil) != (rec.Tokens.CWT == [32]byte{}) {
		return statuslist.Values{}, errors.New("store: record and list differ")
	}
	if l.cwt != nil {
		if _, err := rec.Read(statuslist.MediaTypeCWT, l.cwt); err != nil {
			return statuslist.Values{}, err
		}
	}
	return rec.Read(statuslist.MediaTypeJWT, l.token)
}

// compare looks at every copy on the list whose credential has not changed after the epoch.
func (l servedList) compare(tx *sqldb.Tx, v statuslist.Values, i5 *issuer.Row) error {
	return query(tx, func(scan func(...any) error) error {
		var idx int64
		var state string
		if err := scan(&idx, &state); err != nil {
			return err
		}
		i5.Checked++
		got, err := v.Status(uint64(idx))
		if err != nil || got != issuer.State(state).Status() {
			i5.Violations++
		}
		return nil
	}, `SELECT p.idx, c.state FROM copies p JOIN credentials c ON c.id = p.credential JOIN publications b ON b.tenant = p.tenant AND b.sequence = ?
		WHERE p.tenant = ? AND p.list = ? AND c.change_no <= b.covers
		UNION ALL SELECT a.idx, a.state FROM adopted a JOIN publications b ON b.tenant = a.tenant AND b.sequence = ?
		WHERE a.tenant = ? AND a.list = ? AND a.change_no <= b.covers`, l.sequence, l.tenant, l.list, l.sequence, l.tenant, l.list)
}
