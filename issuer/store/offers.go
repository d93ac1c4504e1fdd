package store

import (
	"context"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

// AddCredential implements issuer.OfferStore.
func (s *Store) AddCredential(ctx context.Context, c issuer.Credential, entry audit.Entry) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO credentials (id, tenant, type, format, person, state, change_no, ref_hash, code_hash, tx_hash, tx_failures, offered_at, offer_expires_at)
			VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, 0, ?, ?)`,
			c.ID, c.Tenant, c.Type, c.Format, c.Person, string(c.State), c.RefHash[:], c.CodeHash[:], nullable(c.TxHash), c.OfferedAt, c.OfferExpires)
		if err != nil {
			return err
		}
		return s.audit.Append(tx, entry)
	})
}

// nullable keeps an absent hash NULL.
func nullable(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// Credential implements issuer.OfferStore.
func (s *Store) Credential(ctx context.Context, tenant, id string) (c issuer.Credential, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = oneCredential(tx.QueryRow(`SELECT `+credentialColumns+` FROM credentials c WHERE c.id = ? AND c.tenant = ?`, id, tenant))
		return err
	})
	return c, err
}

// CredentialByRef implements issuer.OfferStore.
func (s *Store) CredentialByRef(ctx context.Context, tenant string, ref [32]byte) (c issuer.Credential, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = oneCredential(tx.QueryRow(`SELECT `+credentialColumns+` FROM credentials c WHERE c.ref_hash = ? AND c.tenant = ?`, ref[:], tenant))
		return err
	})
	return c, err
}

// Redeem implements issuer.OfferStore: the code's row is locked while decide looks, so that of many parallel requests
// one sees it unredeemed (B07).
func (s *Store) Redeem(ctx context.Context, tenant string, code [32]byte, decide func(issuer.Credential, issuer.Sealed) issuer.Redemption) error {
	var refused error
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		var row credentialRow
		var sealed issuer.Sealed
		err := tx.LockRow(`SELECT `+credentialColumns+`, `+recordOf+`, `+pseudonymOf+` FROM credentials c WHERE c.code_hash = ? AND c.tenant = ?`, code[:], tenant).
			Scan(append(row.dest(), &sealed.Record, &sealed.Pseudonym)...)
		if err != nil {
			return notFound(err)
		}
		c, err := row.credential()
		if err != nil {
			return err
		}
		r := decide(c, sealed)
		if r.Refuse != nil && !r.Failed {
			return r.Refuse
		}
		if r.Failed {
			refused = r.Refuse
			_, err = tx.Exec(`UPDATE credentials SET tx_failures = tx_failures + 1 WHERE id = ?`, c.ID)
		} else {
			err = grant(tx, c, r.Grant)
		}
		if err != nil {
			return err
		}
		return s.audit.Append(tx, r.Entry)
	})
	if err != nil {
		return err
	}
	return refused
}

// What issuing reads of the person of a credential c. Subqueries and no joins: PostgreSQL locks no row that may be absent.
const (
	recordOf    = `(SELECT r.sealed FROM records r WHERE r.tenant = c.tenant AND r.type = c.type AND r.person = c.person)`
	pseudonymOf = `(SELECT p.sealed FROM pseudonyms p WHERE p.tenant = c.tenant AND p.type = c.type AND p.person = c.person)`
)

func grant(tx *sqldb.Tx, c issuer.Credential, g issuer.Grant) error {
	n, err := tx.Exec(`UPDATE credentials SET state = ? WHERE id = ? AND state = ?`, string(issuer.StateAuthorized), c.ID, string(issuer.StateOffered))
	if err != nil {
		return err
	}
	if n != 1 {
		return issuer.ErrNotFound
	}
	_, err = tx.Exec(`INSERT INTO grants (token_hash, tenant, credential, jkt, client_id, slots, allowance, copies, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
		g.Token[:], c.Tenant, c.ID, g.JKT, g.ClientID, g.Slots, g.Allowance, g.MadeAt, g.ExpiresAt)
	return err
}

// Grant implements issuer.OfferStore.
func (s *Store) Grant(ctx context.Context, tenant string, token [32]byte) (issuer.Grant, error) {
	g := issuer.Grant{Token: token}
	c := &g.Credential
	err := s.db.ReadRow(ctx, sqldb.Query{SQL: grantQuery, Args: []any{token[:], tenant}},
		&g.JKT, &g.ClientID, &g.Slots, &g.Allowance, &g.MadeAt, &g.ExpiresAt, &c.ID, &c.Tenant, &c.Type, &c.Format, &c.Person, (*string)(&c.State),
		&g.Sealed.Record, &g.Sealed.Pseudonym)
	return g, notFound(err)
}

const grantQuery = `SELECT g.jkt, g.client_id, g.slots, g.allowance, g.made_at, g.expires_at, c.id, c.tenant, c.type, c.format, c.person, c.state, ` + recordOf + `, ` + pseudonymOf + `
	FROM grants g JOIN credentials c ON c.id = g.credential WHERE g.token_hash = ? AND g.tenant = ?`
