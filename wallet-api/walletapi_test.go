package walletapi_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	walletapi "github.com/dojang-id/dojang/wallet-api"
)

const base = "http://localhost:8604"

// desk is a provider with a clock that tests move.
type desk struct {
	*walletapi.Provider
	t   *testing.T
	db  *sqldb.DB
	now time.Time
	key keys.Signer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return deskOn(t, "sqlite://"+filepath.Join(t.TempDir(), "wallet-api.db"))
}

func deskOn(t *testing.T, url string) *desk {
	t.Helper()
	db, err := sqldb.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	d := &desk{t: t, db: db, now: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC), key: generate(t)}
	d.Provider, err = walletapi.New(t.Context(), walletapi.Config{
		URL: base, ClientID: "dojang-wallet", WalletName: "공동지갑", Signer: d.key, Kid: "did:dojang:demo:x#attestation-1",
		DB: db, Secret: make([]byte, 32), Now: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func generate(t *testing.T) keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (d *desk) challenge() string {
	d.t.Helper()
	c, err := d.Challenge()
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// proof signs claims; the key is named in jwk, or by kid when that is given.
func (d *desk) proof(typ string, s keys.Signer, kid string, claims map[string]any) string {
	d.t.Helper()
	full := map[string]any{"aud": base, "iat": d.now.Unix()}
	for k, v := range claims {
		full[k] = v
	}
	payload, err := json.Marshal(full)
	if err != nil {
		d.t.Fatal(err)
	}
	h := keys.Header{Typ: typ, Kid: kid}
	if kid == "" {
		h.JWK = s.Public()
	}
	jwt, err := keys.SignJWS(s, h, payload)
	if err != nil {
		d.t.Fatal(err)
	}
	return jwt
}

func (d *desk) enrol(device keys.Signer) string {
	d.t.Helper()
	id, err := d.Enrol(d.t.Context(), d.proof(walletapi.TypEnrolment, device, "", map[string]any{"challenge": d.challenge(), "platform": "linux"}))
	if err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *desk) request(device keys.Signer, fresh keys.Signer, challenge string) string {
	d.t.Helper()
	inner := d.proof(walletapi.TypKey, fresh, "", map[string]any{"challenge": challenge})
	return d.proof(walletapi.TypRequest, device, device.Public().Thumbprint(), map[string]any{"challenge": challenge, "key": inner})
}

// rows counts everything that the store holds.
func (d *desk) rows() (n [3]int64) {
	d.t.Helper()
	err := d.db.Read(d.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM instance), (SELECT COUNT(*) FROM challenge_used), (SELECT COUNT(*) FROM attested)`).
			Scan(&n[0], &n[1], &n[2])
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

func (d *desk) refused(err, want error, before [3]int64) {
	d.t.Helper()
	if !errors.Is(err, want) {
		d.t.Errorf("got %v, want %v", err, want)
	}
	if after := d.rows(); after != before {
		d.t.Errorf("rows changed from %v to %v", before, after)
	}
}

func TestAttest(t *testing.T) {
	d := newDesk(t)
	device, fresh := generate(t), generate(t)
	d.enrol(device)
	jwt, err := d.Attest(t.Context(), d.request(device, fresh, d.challenge()))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := keys.ParseJWS(jwt, keys.Expect{Typ: "oauth-client-attestation+jwt"})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := jws.Verify(d.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		t.Fatal(err)
	}
	t.Run("I07 nothing in an attestation links a wallet", func(t *testing.T) {
		if m["sub"] != "dojang-wallet" {
			t.Errorf("sub is %v: it must be the product's, not the instance's", m["sub"])
		}
		if _, ok := m["jti"]; ok {
			t.Error("a jti would link")
		}
		if life := m["exp"].(float64) - m["iat"].(float64); life > 24*3600 {
			t.Errorf("it lives %v s", life)
		}
		if int64(m["iat"].(float64))%3600 != 0 {
			t.Error("iat is not coarse")
		}
		second := generate(t)
		again, err := d.Attest(t.Context(), d.request(device, second, d.challenge()))
		if err != nil {
			t.Fatal(err)
		}
		if again == jwt {
			t.Error("two issuers would see the same attestation")
		}
	})
	t.Run("I05 the level is software, whatever a device says", func(t *testing.T) {
		for _, member := range []string{"key_storage", "user_authentication", "attested_keys"} {
			if _, ok := m[member]; ok {
				t.Errorf("%s is claimed", member)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Run("I04 a challenge is good once, here, for five minutes", func(t *testing.T) {
		d := newDesk(t)
		device := generate(t)
		proof := d.proof(walletapi.TypEnrolment, device, "", map[string]any{"challenge": d.challenge()})
		if _, err := d.Enrol(t.Context(), proof); err != nil {
			t.Fatal(err)
		}
		before := d.rows()
		_, err := d.Enrol(t.Context(), proof)
		d.refused(err, walletapi.ErrChallenge, before)
		_, err = d.Enrol(t.Context(), d.proof(walletapi.TypEnrolment, device, "", map[string]any{"challenge": "made-up"}))
		d.refused(err, walletapi.ErrChallenge, before)
		late := d.challenge()
		d.now = d.now.Add(6 * time.Minute)
		_, err = d.Enrol(t.Context(), d.proof(walletapi.TypEnrolment, device, "", map[string]any{"challenge": late}))
		d.refused(err, walletapi.ErrChallenge, before)
	})
	t.Run("I04 fifty at once: one wins", func(t *testing.T) {
		d := newDesk(t)
		proof := d.proof(walletapi.TypEnrolment, generate(t), "", map[string]any{"challenge": d.challenge()})
		var wg sync.WaitGroup
		errs := make(chan error, 50)
		for range 50 {
			wg.Go(func() {
				_, err := d.Enrol(context.Background(), proof)
				errs <- err
			})
		}
		wg.Wait()
		won := 0
		for range 50 {
			if err := <-errs; err == nil {
				won++
			} else if !errors.Is(err, walletapi.ErrChallenge) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	})
	t.Run("I06 a revoked or unknown instance gets nothing, nor one that asks too often", func(t *testing.T) {
		d := newDesk(t)
		device := generate(t)
		before := d.rows()
		_, err := d.Attest(t.Context(), d.request(device, generate(t), d.challenge()))
		d.refused(err, walletapi.ErrUnknown, before)
		id := d.enrol(device)
		for range 200 {
			if _, err := d.Attest(t.Context(), d.request(device, generate(t), d.challenge())); err != nil {
				t.Fatal(err)
			}
		}
		before = d.rows()
		_, err = d.Attest(t.Context(), d.request(device, generate(t), d.challenge()))
		d.refused(err, walletapi.ErrTooMany, before)
		if err := d.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		d.now = d.now.Add(24 * time.Hour)
		_, err = d.Attest(t.Context(), d.request(device, generate(t), d.challenge()))
		d.refused(err, walletapi.ErrRevoked, before)
		if err := d.Revoke(t.Context(), "nobody"); !errors.Is(err, walletapi.ErrUnknown) {
			t.Error(err)
		}
	})
	t.Run("proofs for others, of other kinds, by other keys", func(t *testing.T) {
		d := newDesk(t)
		device, stranger := generate(t), generate(t)
		d.enrol(device)
		before := d.rows()
		for name, proof := range map[string]string{
			"another audience":      d.proof(walletapi.TypEnrolment, stranger, "", map[string]any{"challenge": d.challenge(), "aud": "https://other.example"}),
			"a key proof instead":   d.proof(walletapi.TypKey, stranger, "", map[string]any{"challenge": d.challenge()}),
			"too old":               d.proof(walletapi.TypEnrolment, stranger, "", map[string]any{"challenge": d.challenge(), "iat": d.now.Add(-time.Hour).Unix()}),
			"not a JWT":             "x.y",
			"no key in the header":  d.proof(walletapi.TypEnrolment, stranger, "somebody", map[string]any{"challenge": d.challenge()}),
			"duplicate member name": `{"aud":1,"aud":2}`,
		} {
			_, err := d.Enrol(t.Context(), proof)
			t.Log(name)
			d.refused(err, walletapi.ErrProof, before)
		}
		c := d.challenge()
		inner := d.proof(walletapi.TypKey, device, "", map[string]any{"challenge": c})
		_, err := d.Attest(t.Context(), d.proof(walletapi.TypRequest, device, device.Public().Thumbprint(), map[string]any{"challenge": c, "key": inner}))
		d.refused(err, walletapi.ErrProof, before) // the instance key itself would link
		foreign := d.proof(walletapi.TypKey, stranger, "", map[string]any{"challenge": d.challenge()})
		_, err = d.Attest(t.Context(), d.proof(walletapi.TypRequest, device, device.Public().Thumbprint(), map[string]any{"challenge": d.challenge(), "key": foreign}))
		d.refused(err, walletapi.ErrProof, before)
		forged := d.proof(walletapi.TypRequest, stranger, device.Public().Thumbprint(), map[string]any{"challenge": c, "key": inner})
		_, err = d.Attest(t.Context(), forged)
		d.refused(err, walletapi.ErrProof, before)
	})
}
