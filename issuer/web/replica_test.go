package web_test

import (
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// TestReplicas: two processes' worth of issuers on one database, drawing from the same short list.
func TestReplicas(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		cfg := plenty(issuertest.KitConfig{DB: dbURL, Keys: keyStore(t), Tune: func(c *issuer.Config) { c.Development, c.ListLength = true, 256 }})
		a := start(t, cfg)
		b := start(t, cfg)
		t.Run("C16 no index twice between replicas", func(t *testing.T) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			seen, n := map[string]map[uint64]bool{}, 0
			for _, k := range []*issuertest.Kit{a, b} {
				for range 3 {
					wg.Go(func() {
						for range 6 {
							_, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 5)
							if err != nil {
								t.Error(err)
								return
							}
							mu.Lock()
							for _, text := range texts {
								uri, idx := reference(t, text)
								if seen[uri] == nil {
									seen[uri] = map[uint64]bool{}
								}
								if seen[uri][idx] {
									t.Errorf("index %d twice", idx)
								}
								seen[uri][idx] = true
								n++
							}
							mu.Unlock()
						}
					})
				}
			}
			wg.Wait()
			if n != 180 {
				t.Errorf("%d copies", n)
			}
		})
		t.Run("a code is redeemed at one of them", func(t *testing.T) {
			_, c := code(t, a, false)
			answers := map[string]int{}
			var wg sync.WaitGroup
			var mu sync.Mutex
			for i := range 20 {
				wg.Go(func() {
					k := a
					if i%2 == 0 {
						k = b
					}
					res, err := k.Token("gaon", c, "")
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					}
					answers[res.Code()]++
				})
			}
			wg.Wait()
			if answers[""] != 1 || answers["invalid_grant"] != 19 {
				t.Errorf("%v", answers)
			}
		})
		t.Run("a nonce of one serves at the other, once", func(t *testing.T) {
			f := begin(t, a, 1)
			g := f
			nonce := must[string](t)(b.Nonce("gaon"))
			f.Proofs = must[[]string](t)(a.Proofs("gaon", nonce, 1))
			res, err := a.Credential(f)
			want(t, res, err, 200, "")
			g.Proofs = must[[]string](t)(b.Proofs("gaon", nonce, 1))
			res, err = b.Credential(g)
			want(t, res, err, 400, "invalid_nonce")
		})
		t.Run("K09 a used nonce stays used where clocks differ", func(t *testing.T) {
			b.Clock.Advance(90 * time.Second)
			defer b.Clock.Advance(-90 * time.Second)
			f := begin(t, a, 1)
			nonce := must[string](t)(b.Nonce("gaon")) // dated 90 s ahead of a's clock: good there for 6.5 minutes
			f.Proofs = must[[]string](t)(a.Proofs("gaon", nonce, 1))
			res, err := a.Credential(f)
			want(t, res, err, 200, "")
			a.Clock.Advance(6*time.Minute + 10*time.Second)
			b.Clock.Advance(6*time.Minute + 10*time.Second)
			if err := b.Store.Forget(ctx, b.Clock.Now()); err != nil {
				t.Fatal(err)
			}
			f.Proofs = must[[]string](t)(a.Proofs("gaon", nonce, 1))
			res, err = a.Credential(f)
			want(t, res, err, 400, "invalid_nonce")
		})
		t.Run("a new nonce key is used when every replica has it", func(t *testing.T) {
			for _, k := range []*issuertest.Kit{a, b} {
				k.Clock.Set(issuertest.Start.Add(24*time.Hour - 30*time.Second))
				_ = must[string](t)(k.Nonce("gaon")) // both look for keys
				k.Clock.Advance(40 * time.Second)
			}
			a.Clock.Advance(30 * time.Second) // a looks again and makes the next key; b has not looked yet
			g := begin(t, b, 1)
			g.Proofs = must[[]string](t)(b.Proofs("gaon", must[string](t)(a.Nonce("gaon")), 1))
			res, err := b.Credential(g)
			want(t, res, err, 200, "")
		})
		t.Run("both publish, sequences never meet", func(t *testing.T) {
			for i := range 4 {
				k := []*issuertest.Kit{a, b}[i%2]
				f, _, err := k.Receive("gaon", "resident-id", "lee-seori", 1)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := set(k, f.Offered.ID, issuer.StatusRevoked); err != nil {
					t.Fatal(err)
				}
			}
		})
		fsck(t, a)
	})
}

func TestRevokedWhileSigning(t *testing.T) {
	t.Run("B67 the revocation wins", func(t *testing.T) {
		var k *issuertest.Kit
		var id string
		once := false
		k = start(t, plenty(issuertest.KitConfig{Step: func(name string) {
			if name != "credential.signed" || once || id == "" {
				return
			}
			once = true
			if _, err := set(k, id, issuer.StatusRevoked); err != nil {
				t.Error(err)
			}
		}}))
		f := begin(t, k, 2)
		id = f.Offered.ID
		a, err := k.Credential(f)
		want(t, a, err, 400, "credential_request_denied")
		if n := snapshot(t, k)["SELECT COUNT(*) FROM ledger"]; n != 0 || !once {
			t.Errorf("%d credentials recorded", n)
		}
		fsck(t, k)
	})
}
