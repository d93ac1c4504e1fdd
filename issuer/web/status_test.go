package web_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/registry"
)

// list fetches and verifies a tenant's published list as a node or verifier would.
func list(t *testing.T, k *issuertest.Kit, tenant string, n int) *statuslist.Token {
	t.Helper()
	a := must[issuertest.Answer](t)(k.Do("GET", fmt.Sprintf("%s/%s/status/%d", k.URL, tenant, n), nil, nil))
	if a.Status != 200 || a.Header.Get("Content-Type") != statuslist.MediaTypeJWT || a.Header.Get("ETag") == "" || a.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("status list: %d %v", a.Status, a.Header)
	}
	u := must[*statuslist.Unverified](t)(statuslist.ParseJWT(a.Body, statuslist.Limits{}))
	ten := k.Tenant(tenant)
	if len(u.Header().X5C) == 0 || u.Header().Kid != ten.DID.URL(ten.KeyID) {
		t.Error("a list is signed with the key and chain of the credentials")
	}
	uri := fmt.Sprintf("http://localhost:1/status/%s/%d", ten.DID.ID(), n)
	b := must[issuertest.Answer](t)(k.Do("GET", fmt.Sprintf("%s/%s/status/%d", k.URL, tenant, n), http.Header{"Accept": {statuslist.MediaTypeCWT}}, nil))
	if b.Status != 200 || b.Header.Get("Content-Type") != statuslist.MediaTypeCWT || b.Header.Get("ETag") == a.Header.Get("ETag") || b.Header.Get("Vary") != "Accept" {
		t.Fatalf("status list as a CWT: %d %v", b.Status, b.Header)
	}
	c := must[*statuslist.Unverified](t)(statuslist.ParseCWT(b.Body, statuslist.Limits{}))
	cwt := must[*statuslist.Token](t)(c.Verify(ten.Key.Public(), statuslist.Expect{URI: fmt.Sprintf("http://localhost:1/status/%s/%d", ten.DID.ID(), n), Now: k.Clock.Now().Add(time.Minute)}))
	tok, err := u.Verify(ten.Key.Public(), statuslist.Expect{URI: uri, Now: k.Clock.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if !cwt.Values.Equal(tok.Values) || !cwt.IssuedAt.Equal(tok.IssuedAt) || !cwt.ExpiresAt.Equal(tok.ExpiresAt) {
		t.Error("JWT and CWT say different things")
	}
	return tok
}

// reference is the status claim of a credential.
func reference(t *testing.T, text string) (string, uint64) {
	t.Helper()
	s := payload(t, text)["status"].(map[string]any)["status_list"].(map[string]any)
	return s["uri"].(string), uint64(s["idx"].(float64))
}

func set(k *issuertest.Kit, id string, to issuer.StatusName) (issuer.Published, error) {
	return k.Issuer.SetStatus(ctx, issuer.StatusChange{Tenant: "gaon", Credential: id, To: to, Actor: "officer", Reason: "R-1"})
}

func TestStatus(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		k := start(t, plenty(issuertest.KitConfig{DB: dbURL}))
		f, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 10)
		if err != nil {
			t.Fatal(err)
		}
		all := func(t *testing.T, want statuslist.Status) {
			t.Helper()
			l := list(t, k, "gaon", 1)
			for _, text := range texts {
				_, idx := reference(t, text)
				if got, err := l.Status(idx); err != nil || got != want {
					t.Fatalf("index %d: %v %v, want %v", idx, got, err, want)
				}
			}
		}
		t.Run("every copy flips with its credential", func(t *testing.T) {
			for _, s := range []struct {
				to   issuer.StatusName
				want statuslist.Status
			}{{"suspended", 2}, {"valid", 0}, {"needs_renewal", 3}, {"suspended", 2}, {"revoked", 1}} {
				p, err := set(k, f.Offered.ID, s.to)
				if err != nil || p.Height == 0 || p.Sequence == 0 {
					t.Fatalf("%s: %+v %v", s.to, p, err)
				}
				all(t, s.want)
			}
		})
		t.Run("C15 revocation is final", func(t *testing.T) {
			for _, to := range []issuer.StatusName{"valid", "suspended", "needs_renewal"} {
				unchanged(t, k, func() {
					if _, err := set(k, f.Offered.ID, to); !errors.Is(err, issuer.ErrRevocationFinal) {
						t.Errorf("%s: %v", to, err)
					}
				})
			}
			all(t, statuslist.Revoked)
		})
		t.Run("nothing to suspend before it is issued", func(t *testing.T) {
			o := must[issuer.Offered](t)(k.Offer("gaon", "resident-id", "lee-seori", false))
			unchanged(t, k, func() {
				if _, err := set(k, o.ID, "suspended"); !errors.Is(err, issuer.ErrTransition) {
					t.Error(err)
				}
			})
		})
		t.Run("C16 64 at once, while others are issued", func(t *testing.T) { parallelRevocations(t, k) })
		t.Run("C18 history is not told", func(t *testing.T) {
			a := must[issuertest.Answer](t)(k.Do("GET", k.URL+"/gaon/status/1?time=1790000000", nil, nil))
			if a.Status != http.StatusNotImplemented {
				t.Errorf("status %d", a.Status)
			}
		})
		t.Run("C10 lists are long, URIs few", func(t *testing.T) {
			uris := map[string]bool{}
			for _, text := range texts {
				uri, _ := reference(t, text)
				uris[uri] = true
				if strings.Contains(uri, "?") || strings.HasPrefix(uri, k.URL) {
					t.Errorf("status URI %s", uri)
				}
			}
			if n := list(t, k, "gaon", 1).Values.Len(); len(uris) != 1 || n < 100_000 {
				t.Errorf("%d URIs, %d entries", len(uris), n)
			}
			cfg := issuer.Config{URL: "http://localhost:2", StatusHost: "http://localhost:3", Store: k.Store, Tenants: k.Tenants, Secret: make([]byte, 32), ListLength: 1024}
			if _, err := issuer.New(cfg); err == nil {
				t.Error("a list of 1024 entries is accepted")
			}
		})
		for _, path := range []string{"/gaon/status/2", "/gaon/status/0", "/gaon/status/01", "/gaon/status/-1", "/nobody/status/1", "/gaon/status/99999999999999999999"} {
			a, err := k.Do("GET", k.URL+path, nil, nil)
			want(t, a, err, 404, "not-found")
		}
		fsck(t, k)
	})
}

func parallelRevocations(t *testing.T, k *issuertest.Kit) {
	const n = 64
	ids, texts := make([]string, n), make([]string, n)
	for i := range ids {
		f, got, err := k.Receive("gaon", "resident-id", "park-nuri", 1)
		if err != nil {
			t.Fatal(err)
		}
		ids[i], texts[i] = f.Offered.ID, got[0]
	}
	var wg sync.WaitGroup
	errs := make([]error, 2*n)
	var kept sync.Map
	for i := range n {
		wg.Go(func() { _, errs[i] = set(k, ids[i], issuer.StatusRevoked) })
		wg.Go(func() {
			_, got, err := k.Receive("gaon", "resident-id", "lee-seori", 1)
			if errs[n+i] = err; err == nil {
				kept.Store(got[0], true)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Issuer.Publish(ctx, "gaon"); err != nil {
		t.Fatal(err)
	}
	l := list(t, k, "gaon", 1)
	seen := map[uint64]bool{}
	check := func(text string, want statuslist.Status) {
		_, idx := reference(t, text)
		if got, _ := l.Status(idx); got != want || seen[idx] {
			t.Errorf("index %d: %v, want %v, seen %v", idx, got, want, seen[idx])
		}
		seen[idx] = true
	}
	for _, text := range texts {
		check(text, statuslist.Revoked)
	}
	kept.Range(func(text, _ any) bool { check(text.(string), statuslist.Valid); return true })
	if len(seen) != 2*n {
		t.Errorf("%d distinct indices", len(seen))
	}
	if e := k.Chain.Epochs(); len(e) > n+20 {
		t.Errorf("%d epochs for %d changes: callers should share", len(e), n)
	}
}

func TestPublication(t *testing.T) {
	t.Run("C17 a change is acknowledged when it is published and anchored", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		f, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
		if err != nil {
			t.Fatal(err)
		}
		k.Chain.Fail(errors.New("chain is away"))
		if p, err := set(k, f.Offered.ID, issuer.StatusRevoked); !errors.Is(err, issuer.ErrNotPublished) || p.Height != 0 {
			t.Fatalf("%+v %v", p, err)
		}
		k.Chain.Fail(nil)
		p, err := set(k, f.Offered.ID, issuer.StatusRevoked) // asked again: no second change, the same wait
		if err != nil || p.Height == 0 {
			t.Fatal(p, err)
		}
		_, idx := reference(t, texts[0])
		if got, _ := list(t, k, "gaon", 1).Status(idx); got != statuslist.Revoked {
			t.Errorf("status %v", got)
		}
		last := k.Chain.Epochs()[len(k.Chain.Epochs())-1]
		if last.Sequence != p.Sequence {
			t.Errorf("anchored %d, acknowledged %d", last.Sequence, p.Sequence)
		}
		if n := audited(t, k, "credential.revoked"); n != 1 {
			t.Errorf("%d audit entries of one change", n)
		}
		fsck(t, k)
	})
	t.Run("K09 iat and sequence grow when the clock goes back", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		var last issuer.Published
		for i := range 6 {
			if i == 3 {
				k.Clock.Advance(-time.Hour)
			}
			f, _, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
			if err != nil {
				t.Fatal(err)
			}
			p, err := set(k, f.Offered.ID, issuer.StatusRevoked)
			if err != nil || p.Sequence <= last.Sequence {
				t.Fatalf("%+v after %+v: %v", p, last, err)
			}
			last = p
		}
		epochs := k.Chain.Epochs()
		for i := 1; i < len(epochs); i++ {
			if !epochs[i].IssuedAt.After(epochs[i-1].IssuedAt) || epochs[i].Sequence <= epochs[i-1].Sequence {
				t.Errorf("epoch %d does not grow", i)
			}
		}
		fsck(t, k)
	})
	t.Run("K09 a clock that was far ahead and is right again holds nothing up", func(t *testing.T) {
		var k *issuertest.Kit
		var iats []time.Time
		real := time.Now()
		k = start(t, plenty(issuertest.KitConfig{Tune: func(c *issuer.Config) {
			for i := range c.Tenants {
				c.Tenants[i].Anchor = refusing{func(e registry.StatusEpoch) error {
					if e.IssuedAt.After(real.Add(2 * time.Minute)) { // the chain's own clock is right
						return errors.New("bad-time")
					}
					iats = append(iats, e.IssuedAt)
					return nil
				}}
			}
		}}))
		f, _, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
		if err != nil {
			t.Fatal(err)
		}
		real = k.Clock.Now()
		k.Clock.Advance(40 * time.Hour)
		if _, err := set(k, f.Offered.ID, issuer.StatusSuspended); err == nil {
			t.Fatal("anchored with a clock far ahead")
		}
		k.Clock.Advance(-40 * time.Hour)
		before := len(iats)
		if _, err := set(k, f.Offered.ID, issuer.StatusRevoked); err != nil {
			t.Fatalf("a revocation waits for a clock that was wrong: %v", err)
		}
		if len(iats) == before {
			t.Error("nothing was anchored")
		}
		fsck(t, k)
	})
	t.Run("K09 iat does not run ahead of the clock", func(t *testing.T) {
		var k *issuertest.Kit
		early := 0
		k = start(t, plenty(issuertest.KitConfig{Tune: func(c *issuer.Config) {
			for i := range c.Tenants {
				c.Tenants[i].Anchor = anchorFunc(func(e registry.StatusEpoch) {
					if e.IssuedAt.After(k.Clock.Now()) {
						early++
					}
				})
			}
		}}))
		f, _, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []issuer.StatusName{"suspended", "valid", "suspended"} { // as fast as it can be asked
			if _, err := set(k, f.Offered.ID, to); err != nil {
				t.Fatal(err)
			}
		}
		if early > 0 {
			t.Errorf("%d epochs from the future", early)
		}
	})
	t.Run("a new process goes on where the old one stopped", func(t *testing.T) {
		cfg := plenty(issuertest.KitConfig{DB: sqldbtest.SQLite(t), Keys: keyStore(t)})
		k := start(t, cfg)
		f, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 3)
		if err != nil {
			t.Fatal(err)
		}
		first, err := set(k, f.Offered.ID, issuer.StatusRevoked)
		if err != nil {
			t.Fatal(err)
		}
		k.Close()
		k = start(t, cfg)
		g, _, err := k.Receive("gaon", "resident-id", "lee-seori", 3)
		if err != nil {
			t.Fatal(err)
		}
		second, err := set(k, g.Offered.ID, issuer.StatusSuspended)
		if err != nil || second.Sequence != first.Sequence+1 {
			t.Fatal(first, second, err)
		}
		l := list(t, k, "gaon", 1)
		for _, text := range texts {
			_, idx := reference(t, text)
			if got, _ := l.Status(idx); got != statuslist.Revoked {
				t.Errorf("index %d: %v after a restart", idx, got)
			}
		}
		fsck(t, k)
	})
	t.Run("a caller's patience is its own", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{Tune: func(c *issuer.Config) { c.PublishEvery = time.Hour }}))
		ids := make([]string, 3)
		for i := range ids {
			f, _, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
			if err != nil {
				t.Fatal(err)
			}
			ids[i] = f.Offered.ID
		}
		if _, err := set(k, ids[0], issuer.StatusRevoked); err != nil { // the first after a quiet time goes at once
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, id := range ids[1:] {
			wg.Go(func() {
				short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				_, err := k.Issuer.SetStatus(short, issuer.StatusChange{Tenant: "gaon", Credential: id, To: issuer.StatusRevoked, Actor: "t", Reason: "x"})
				if !errors.Is(err, issuer.ErrNotPublished) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		k.Clock.Advance(2 * time.Hour)
		if p, err := set(k, ids[2], issuer.StatusRevoked); err != nil || p.Sequence != 2 {
			t.Error(p, err)
		}
		fsck(t, k)
	})
	t.Run("a full list is followed by the next", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{Tune: func(c *issuer.Config) { c.Development, c.ListLength = true, 64 }}))
		uris := map[string]int{}
		for range 10 {
			_, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				uri, _ := reference(t, text)
				uris[uri]++
			}
		}
		if _, err := k.Issuer.Publish(ctx, "gaon"); err != nil || len(uris) != 2 {
			t.Fatal(uris, err)
		}
		list(t, k, "gaon", 2)
		fsck(t, k)
	})
}

// anchorFunc is a chain that takes everything.
type anchorFunc func(registry.StatusEpoch)

func (f anchorFunc) Anchor(_ context.Context, e registry.StatusEpoch) (uint64, error) {
	f(e)
	return e.Sequence, nil
}

// refusing asks before it anchors.
type refusing struct {
	ask func(registry.StatusEpoch) error
}

func (r refusing) Anchor(_ context.Context, e registry.StatusEpoch) (uint64, error) {
	return e.Sequence, r.ask(e)
}

func TestUnlinkable(t *testing.T) {
	t.Run("B72 a thousand credentials", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		var order []uint64
		salts, bins := map[string]bool{}, make([]int, 16)
		counts := map[int]bool{}
		for range 100 {
			_, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				p := payload(t, text)
				for _, name := range []string{"iat", "nbf", "exp"} {
					if sec := int64(p[name].(float64)); (sec+9*3600)%86400 != 0 {
						t.Fatalf("%s %d is not rounded to the day", name, sec)
					}
				}
				parts := strings.Split(text, "~")
				for _, d := range parts[1 : len(parts)-1] {
					if salts[d] {
						t.Fatal("a disclosure twice")
					}
					salts[d] = true
				}
				counts[len(p["_sd"].([]any))] = true
				_, idx := reference(t, text)
				order = append(order, idx)
				bins[idx*16/131072]++
			}
		}
		if len(counts) != 1 {
			t.Errorf("digest counts differ: %v", counts)
		}
		uniform(t, bins, len(order))
		random(t, order)
	})
}

// uniform is a chi-square test with 15 degrees of freedom; 44 is exceeded once in 10,000 runs.
func uniform(t *testing.T, bins []int, n int) {
	t.Helper()
	expect, chi := float64(n)/float64(len(bins)), 0.0
	for _, b := range bins {
		chi += (float64(b) - expect) * (float64(b) - expect) / expect
	}
	if chi > 44 {
		t.Errorf("indices are not uniform: chi-square %.1f", chi)
	}
}

// random looks for order: neighbours in time must not be neighbours on the list, and rise as often as they fall.
func random(t *testing.T, order []uint64) {
	t.Helper()
	up, near := 0, 0
	for i := 1; i < len(order); i++ {
		if order[i] > order[i-1] {
			up++
		}
		if math.Abs(float64(order[i])-float64(order[i-1])) <= 2 {
			near++
		}
	}
	if d := math.Abs(float64(up) - float64(len(order)-1)/2); d > 4*math.Sqrt(float64(len(order))/12) || near > 5 {
		t.Errorf("%d of %d rise, %d are neighbours", up, len(order), near)
	}
}
