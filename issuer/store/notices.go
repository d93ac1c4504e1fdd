package store

import (
	"context"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

// Notice implements issuer.IssuanceStore.
func (s *Store) Notice(ctx context.Context, n issuer.Notice) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		var grant []byte
		err := tx.QueryRow(`SELECT grant_hash FROM issuances WHERE id = ? AND tenant = ? AND state = 'issued'`, n.Issuance, n.Tenant).Scan(&grant)
		if err != nil {
			return notFound(err)
		}
		if string(grant) != string(n.Grant[:]) {
			return issuer.ErrRefused
		}
		added, err := tx.Exec(`INSERT INTO notices (issuance, event, at) VALUES (?, ?, ?) ON CONFLICT (issuance, event) DO NOTHING`, n.Issuance, n.Event, n.At)
		if err != nil || added == 0 {
			return err
		}
		return s.audit.Append(tx, n.Entry)
	})
}

// Reports implements issuer.IssuanceStore. A credential's issuances are found through its copies, which have an index.
func (s *Store) Reports(ctx context.Context, tenant, credential string) (out []issuer.Report, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return query(tx, func(scan func(...any) error) error {
			var r issuer.Report
			if err := scan(&r.Issuance, &r.Event, &r.At); err != nil {
				return err
			}
			out = append(out, r)
			return nil
		}, `SELECT n.issuance, n.event, n.at FROM notices n
			WHERE n.issuance IN (SELECT p.issuance FROM copies p WHERE p.credential = ? AND p.tenant = ?) ORDER BY n.at, n.issuance, n.event`, credential, tenant)
	})
	return out, err
}
