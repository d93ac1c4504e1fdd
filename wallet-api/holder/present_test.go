package holder_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// show opens the shop's request and sends the answer.
func (w *world) show() (holder.Sent, error) {
	w.t.Helper()
	c := must(w.Consent(w.t.Context(), w.shop.link()))(w.t)
	return w.Present(w.t.Context(), c)
}

func TestPresent(t *testing.T) {
	for _, mode := range []string{oid4vp.ModeDirectPost, oid4vp.ModeDirectPostJWT} {
		t.Run(mode, func(t *testing.T) {
			sqldbtest.Each(t, func(t *testing.T, url string) { present(t, openWorld(t, url), mode) })
		})
	}
}

// present visits the shop three times under each of its names.
func present(t *testing.T, w *world, mode string) {
	w.receive()
	w.shop.alter(func(r map[string]any) { r["response_mode"] = mode })
	for prefix, id := range w.shop.prefixes() {
		w.shop.clientID, w.shop.method = id, "post"
		sent, err := w.show()
		if err != nil {
			t.Fatalf("%s: %v (%v)", prefix, err, w.shop.failed)
		}
		if sent.Reused || sent.RedirectURI != w.shop.origin+"/done?response_code=abc" {
			t.Errorf("sent %+v", sent)
		}
	}
	if len(w.shop.shown) != 3 || w.shop.shown[0]["age_over_19"] != true || w.shop.shown[0]["birthdate"] != nil || w.shop.shown[0]["name"] != nil {
		t.Errorf("shown %v", w.shop.shown)
	}
	copies := map[string]bool{}
	for _, text := range w.shop.texts {
		jwt, _, _ := strings.Cut(text, "~")
		copies[jwt] = true
	}
	if len(copies) != 3 {
		t.Errorf("%d different copies in three visits", len(copies))
	}
	if _, answers := w.shop.heard(); answers[0].Encrypted != (mode == oid4vp.ModeDirectPostJWT) {
		t.Errorf("encrypted: %v", answers[0].Encrypted)
	}
	history(t, w)
}

func history(t *testing.T, w *world) {
	t.Helper()
	list := must(w.Submissions(t.Context()))(t)
	if len(list) != 3 {
		t.Fatalf("history %+v", list)
	}
	for _, s := range list {
		if s.Verifier != string(w.shop.did) || s.Name != "Byeolmaru" || s.Purpose != "adult-check" || s.Outcome != "sent" || s.Items[0].Path != "age_over_19" || !s.At.Equal(start) {
			t.Errorf("line %+v", s)
		}
	}
}

func TestCopies(t *testing.T) {
	t.Run("when copies run out: the same verifier sees one again, another none", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		for i := range 5 {
			sent, err := w.show()
			if err != nil || sent.Reused != (i >= 3) {
				t.Fatalf("visit %d: %+v %v", i, sent, err)
			}
		}
		w.shop = w.other
		before := w.rows()
		c := must(w.Consent(t.Context(), w.shop.link()))(t)
		_, err := w.Present(t.Context(), c)
		w.unchanged(err, holder.ErrNoCopies, before)
		w.shop.silent(t)
	})
	t.Run("an older credential with copies goes before a newer one without", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.wait(time.Hour)
		newer := w.receive()
		for range 3 {
			must(w.show())(t)
		}
		if cards := must(w.List(t.Context()))(t); cards[0].ID != newer.ID || cards[0].CopiesLeft != 0 {
			t.Fatalf("cards %+v", cards)
		}
		w.shop = w.other
		if sent := must(w.show())(t); sent.Reused {
			t.Errorf("sent %+v", sent)
		}
	})
	t.Run("a copy is marked before anything leaves, and stays so when sending fails", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		var marked int
		w.shop.instead["/response"] = func(http.ResponseWriter, *http.Request) {
			marked = w.marked(t)
			panic(http.ErrAbortHandler)
		}
		c := must(w.Consent(t.Context(), w.shop.link()))(t)
		if _, err := w.Present(t.Context(), c); !errors.Is(err, holder.ErrUnreachable) {
			t.Fatal(err)
		}
		w.shop.mu.Lock() // handlers hold it
		if marked != 1 || w.marked(t) != 1 {
			t.Errorf("%d copies were marked when the answer arrived, %d afterwards", marked, w.marked(t))
		}
		delete(w.shop.instead, "/response")
		w.shop.mu.Unlock()
		if s := must(w.Submissions(t.Context()))(t); len(s) != 1 || s[0].Outcome != "prepared" {
			t.Errorf("history %+v", s)
		}
		must(w.Present(t.Context(), c))(t) // again: the same copy
		if w.marked(t) != 1 || len(w.shop.shown) != 1 {
			t.Errorf("%d copies marked, %d shown (%v)", w.marked(t), len(w.shop.shown), w.shop.failed)
		}
		before := w.rows()
		_, err := w.Present(t.Context(), c)
		w.unchanged(err, holder.ErrRequest, before)
		w.unchanged(w.Decline(t.Context(), c), holder.ErrRequest, before)
	})
	t.Run("a caller that leaves costs the copy", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		c := must(w.Consent(t.Context(), w.shop.link()))(t)
		ctx, cancel := context.WithCancel(t.Context())
		w.shop.instead["/response"] = func(http.ResponseWriter, *http.Request) { cancel(); time.Sleep(50 * time.Millisecond) }
		if _, err := w.Present(ctx, c); err == nil {
			t.Error("nothing was sent, no error")
		}
		if w.marked(t) != 1 {
			t.Errorf("%d copies marked", w.marked(t))
		}
	})
	t.Run("a refusal by the verifier is remembered: it has the data", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.instead["/response"] = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadRequest) }
		if _, err := w.show(); !errors.Is(err, holder.ErrRefused) {
			t.Fatal(err)
		}
		if s := must(w.Submissions(t.Context()))(t); s[0].Outcome != "refused" {
			t.Errorf("history %+v", s)
		}
	})
	t.Run("D48 redirect of the response_uri", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.instead["/response"] = func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, w.shop.origin+"/elsewhere", http.StatusTemporaryRedirect)
		}
		if _, err := w.show(); !errors.Is(err, holder.ErrRefused) {
			t.Fatal(err)
		}
		if w.shop.hits["/elsewhere"] != 0 {
			t.Error("the presentation was sent to another address")
		}
	})
	t.Run("a request whose time is over gets nothing", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		c := must(w.Consent(t.Context(), w.shop.link()))(t)
		w.wait(3 * time.Minute)
		before := w.rows()
		_, err := w.Present(t.Context(), c)
		w.unchanged(err, holder.ErrRequest, before)
		w.shop.silent(t)
	})
	t.Run("two answers from one credential cost one copy", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["age_over_19"]}]},
			{"id":"b","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["address","region"]}]}]}`)
		must(w.show())(t)
		if w.marked(t) != 1 || len(w.shop.shown) != 2 {
			t.Errorf("%d copies marked, %d shown", w.marked(t), len(w.shop.shown))
		}
		address, _ := w.shop.shown[1]["address"].(map[string]any)
		if w.shop.shown[1]["age_over_19"] != nil || address["region"] != "서울특별시" || address["postal_code"] != nil {
			address, _ = w.shop.shown[0]["address"].(map[string]any)
			if address["region"] != "서울특별시" || address["postal_code"] != nil {
				t.Errorf("shown %v", w.shop.shown)
			}
		}
	})
}

// marked counts copies that somebody may have seen.
func (w *world) marked(t *testing.T) (n int) {
	t.Helper()
	if err := w.db.Read(context.Background(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM copy WHERE used_for IS NOT NULL`).Scan(&n)
	}); err != nil {
		t.Error(err)
	}
	return n
}

// Two verifiers at the same moment never see one copy.
func TestConcurrentVerifiers(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		w := openWorld(t, url)
		w.agency.meta = func(m map[string]any) { m["batch_credential_issuance"] = map[string]any{"batch_size": 10} }
		w.receive()
		var shops []*shop
		for _, id := range []string{"AShop", "BShop", "CShop"} {
			shops = append(shops, newShop(w, id))
		}
		origins := []string{w.agency.origin}
		for _, s := range shops {
			origins = append(origins, s.origin)
		}
		many := reopen(t, w, origins)
		var wg sync.WaitGroup
		var mu sync.Mutex
		none := 0
		for i := range 15 {
			wg.Go(func() {
				s := shops[i%3]
				c, err := many.Consent(t.Context(), s.link())
				if err == nil {
					_, err = many.Present(t.Context(), c)
				}
				if errors.Is(err, holder.ErrNoCopies) {
					mu.Lock()
					none++
					mu.Unlock()
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		seen := map[string]string{}
		for _, s := range shops {
			for _, text := range s.texts {
				jwt, _, _ := strings.Cut(text, "~")
				if by, ok := seen[jwt]; ok && by != string(s.did) {
					t.Error("two verifiers have seen one copy")
				}
				seen[jwt] = string(s.did)
			}
		}
		if len(seen) != 10 {
			t.Errorf("%d copies were shown, %d callers got none", len(seen), none)
		}
	})
}

func TestDecline(t *testing.T) {
	w := newWorld(t)
	w.receive()
	c := must(w.Consent(t.Context(), w.shop.link()))(t)
	if err := w.Decline(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	_, answers := w.shop.heard()
	if len(answers) != 1 || answers[0].Error == nil || answers[0].Error.Code != "access_denied" || answers[0].VPToken != nil {
		t.Errorf("the verifier heard %+v (%v)", answers, w.shop.failed)
	}
	if w.marked(t) != 0 {
		t.Error("a copy was spent")
	}
	if s := must(w.Submissions(t.Context()))(t); len(s) != 1 || s[0].Outcome != "declined" {
		t.Errorf("history %+v", s)
	}
	before := w.rows()
	_, err := w.Present(t.Context(), c)
	w.unchanged(err, holder.ErrRequest, before)
}

func TestStore(t *testing.T) {
	w := newWorld(t)
	w.receive()
	must(w.show())(t)
	t.Run("nobody can read where the person submitted", func(t *testing.T) {
		var found []string
		err := w.db.Read(t.Context(), func(tx *sqldb.Tx) error {
			rows, err := tx.Query(`SELECT line, outcome FROM submission UNION ALL SELECT used_for, '' FROM copy WHERE used_for IS NOT NULL UNION ALL SELECT token, '' FROM copy UNION ALL SELECT private, '' FROM copy`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var b []byte
				var s string
				if err := rows.Scan(&b, &s); err != nil {
					return err
				}
				for _, canary := range []string{"NoriShop", "Byeolmaru", "adult-check", "age_over_19", "eyJ", "HAN GAON"} {
					if strings.Contains(string(b)+s, canary) {
						found = append(found, canary)
					}
				}
			}
			return rows.Close()
		})
		if err != nil || len(found) > 0 {
			t.Errorf("readable: %v %v", found, err)
		}
	})
	t.Run("another secret opens nothing", func(t *testing.T) {
		cfg := w.cfg
		cfg.Secret = []byte(strings.Repeat("x", 32))
		other := must(holder.New(t.Context(), cfg))(t)
		if _, err := other.List(t.Context()); err == nil {
			t.Error("it lists")
		}
	})
	t.Run("sealed values cannot change places", func(t *testing.T) {
		err := w.db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`UPDATE copy SET token = (SELECT o.token FROM copy o WHERE o.credential = copy.credential AND o.n = 1) WHERE n = 0`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.List(t.Context()); err == nil || !strings.Contains(err.Error(), "moved") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a short secret is refused", func(t *testing.T) {
		cfg := w.cfg
		cfg.Secret = cfg.Secret[:16]
		if _, err := holder.New(t.Context(), cfg); err == nil {
			t.Error("it opens")
		}
	})
}

func TestListOffline(t *testing.T) {
	w := newWorld(t)
	r := w.receive()
	index := w.indexOf(t, r.ID)
	status := func(want string) {
		t.Helper()
		cards := must(w.List(t.Context()))(t)
		if cards[0].Status != want || cards[0].StatusAsOf.IsZero() != (want == "expired") {
			t.Errorf("card %+v, want %s", cards[0], want)
		}
	}
	status("valid")
	for value, want := range map[byte]string{2: "suspended", 3: "needs_renewal", 1: "revoked"} {
		w.wait(time.Minute)
		w.facts.change(func() { w.facts.knownAt = w.now() })
		if err := setStatus(w.agency, index, value); err != nil {
			t.Fatal(err)
		}
		status(want)
	}
	if err := setStatus(w.agency, index, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.facts.change(func() { w.facts.nodes = registry.ErrUnavailable })
	status("revoked") // as of the newest refresh
	w.facts.change(func() { w.facts.nodes, w.facts.knownAt = nil, start.Add(-time.Hour) })
	if err := setStatus(w.agency, index, 0); err != nil {
		t.Fatal(err)
	}
	status("revoked") // an older list is not believed over a newer one
	w.wait(61 * 24 * time.Hour)
	status("expired")
}

func TestListRefusesFalseLists(t *testing.T) {
	for name, do := range map[string]func(w *world, l *registry.StatusList){
		"another token":       func(_ *world, l *registry.StatusList) { l.Token = slices.Concat(l.Token, []byte("x")) },
		"another record":      func(_ *world, l *registry.StatusList) { l.Record = slices.Clone(l.Record[:len(l.Record)-1]) },
		"another place":       func(_ *world, l *registry.StatusList) { l.Index = 0 },
		"key compromised":     func(w *world, _ *registry.StatusList) { compromise(w) },
		"another list's":      func(w *world, l *registry.StatusList) { *l = w.facts.lists["another"] },
		"epoch of other root": func(w *world, _ *registry.StatusList) { forget(w) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *holder.Config) { c.Evidence = nil })
			w.facts.nodes = registry.ErrUnavailable // nothing is refreshed on receipt
			w.receive()
			w.facts.change(func() {
				w.facts.nodes = nil
				l := w.facts.lists[w.agency.uri]
				do(w, &l)
				w.facts.lists[w.agency.uri] = l
			})
			if cards := must(w.List(t.Context()))(t); cards[0].Status != "unknown" {
				t.Errorf("card %+v", cards[0])
			}
			if err := w.Refresh(t.Context()); err == nil {
				t.Error("refresh is content")
			}
		})
	}
}

func compromise(w *world) {
	k := w.facts.keys[w.agency.organisation.url()]
	k.CompromisedFrom = start
	w.facts.keys[w.agency.organisation.url()] = k
}

func forget(w *world) {
	e := w.facts.epochs[w.agency.did]
	e.Root = [32]byte{1}
	w.facts.epochs[w.agency.did] = e
}
