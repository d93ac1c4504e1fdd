package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/store"
)

var now = time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)

func transaction(tenant, id string) verifier.Transaction {
	return verifier.Transaction{
		Tenant: tenant, ID: id, Handle: sha256.Sum256([]byte("h" + tenant + id)), StateHash: sha256.Sum256([]byte("s" + tenant + id)),
		State: verifier.StateRequested, Policy: "adult-check", ClientID: "x509_hash:x", ResponseMode: "direct_post.jwt", Evidence: true,
		RedirectURI: "https://a.example/back", Session: sha256.Sum256([]byte("session")), Secret: []byte{1}, CreatedAt: now, ExpiresAt: now.Add(3 * time.Minute),
	}
}

func outcome(code verifier.Code) verifier.Outcome {
	return verifier.Outcome{
		State: verifier.StateJudged, Decision: code.Decision(), Code: code, Receipt: "a.b.c", Claims: []byte{2}, StatusAsOf: now,
		ResponseCode: sha256.Sum256([]byte("code")), At: now.Add(time.Minute),
	}
}

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), sqldbtest.Open(t, url), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dump(t *testing.T, s *store.Store) string {
	t.Helper()
	rows, err := s.Dump(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(rows)
}

func TestStore(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		ctx, s := context.Background(), open(t, url)
		want := transaction("a", "1")
		if err := s.Create(ctx, want); err != nil {
			t.Fatal(err)
		}
		for name, look := range map[string]verifier.Lookup{
			"id":     {Tenant: "a", By: verifier.ByID, ID: "1"},
			"handle": {Tenant: "a", By: verifier.ByHandle, Hash: want.Handle},
			"state":  {Tenant: "a", By: verifier.ByState, Hash: want.StateHash},
		} {
			got, err := s.Find(ctx, look)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("by %s: %+v %v", name, got, err)
			}
			look.Tenant = "b"
			if _, err := s.Find(ctx, look); !errors.Is(err, verifier.ErrNotFound) {
				t.Errorf("by %s for another tenant: %v", name, err)
			}
		}
		if err := s.Finish(ctx, "b", "1", outcome(verifier.Valid)); !errors.Is(err, verifier.ErrFinished) {
			t.Errorf("finished for another tenant: %v", err)
		}
		if err := s.MarkRetrieved(ctx, []verifier.Name{{Tenant: "a", ID: "1"}}); err != nil {
			t.Fatal(err)
		}
		if err := s.Finish(ctx, "a", "1", outcome(verifier.Valid)); err != nil {
			t.Fatal(err)
		}
		before := dump(t, s)
		if err := s.Finish(ctx, "a", "1", outcome(verifier.Revoked)); !errors.Is(err, verifier.ErrFinished) {
			t.Errorf("finished twice: %v", err)
		}
		if err := s.MarkRetrieved(ctx, []verifier.Name{{Tenant: "a", ID: "1"}}); err != nil || dump(t, s) != before {
			t.Errorf("an ended transaction changed: %v", err)
		}
		got, err := s.Find(ctx, verifier.Lookup{Tenant: "a", ID: "1"})
		if err != nil || got.State != verifier.StateJudged || got.Outcome == nil || got.Outcome.Code != verifier.Valid || got.Outcome.Redeemed {
			t.Errorf("%+v %v", got, err)
		}
		history(t, s, verifier.Name{Tenant: "a", ID: "1"}, "presentation.judged VALID")
		for range verifier.MaxReplays + 2 {
			if err := s.Replayed(ctx, verifier.Name{Tenant: "a", ID: "1"}, now); err != nil {
				t.Fatal(err)
			}
		}
		want1 := []string{"presentation.judged VALID"}
		for range verifier.MaxReplays {
			want1 = append(want1, "presentation.replayed NONCE_REPLAY")
		}
		history(t, s, verifier.Name{Tenant: "a", ID: "1"}, want1...)
		if err := s.Create(ctx, transaction("a", "2")); err != nil {
			t.Fatal(err)
		}
		for _, n := range []verifier.Name{{Tenant: "b", ID: "1"}, {Tenant: "a", ID: "2"}, {Tenant: "a", ID: "3"}} {
			before := dump(t, s)
			if err := s.Replayed(ctx, n, now); err != nil || dump(t, s) != before {
				t.Errorf("%v: a replay of what was not judged is noted: %v", n, err)
			}
		}
		history(t, s, verifier.Name{Tenant: "a", ID: "2"})
		if _, err := s.History(ctx, verifier.Name{Tenant: "b", ID: "1"}); !errors.Is(err, verifier.ErrNotFound) {
			t.Errorf("history for another tenant: %v", err)
		}
		check(t, s)
	})
}

func history(t *testing.T, s *store.Store, n verifier.Name, want ...string) {
	t.Helper()
	events, err := s.History(context.Background(), n)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Kind+" "+string(e.Code))
		if e.At.IsZero() {
			t.Errorf("%s has no time", e.Kind)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("history of %v: %v, want %v", n, got, want)
	}
}

func check(t *testing.T, s *store.Store) {
	t.Helper()
	rows, err := s.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Checked == 0 || r.Violations != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// TestOneOutcome: of many who finish or redeem at once, one does.
func TestOneOutcome(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		ctx, s := context.Background(), open(t, url)
		if err := s.Create(ctx, transaction("a", "1")); err != nil {
			t.Fatal(err)
		}
		count := func(f func(i int) error, refused error) int {
			var mu sync.Mutex
			done := 0
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					err := f(i)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						done++
					case !errors.Is(err, refused):
						t.Errorf("%v", err)
					}
				})
			}
			wg.Wait()
			return done
		}
		if n := count(func(int) error { return s.Finish(ctx, "a", "1", outcome(verifier.Valid)) }, verifier.ErrFinished); n != 1 {
			t.Errorf("finished %d times", n)
		}
		redemption := verifier.Redemption{Tenant: "a", ID: "1", Code: sha256.Sum256([]byte("code")), Session: sha256.Sum256([]byte("session")), At: now}
		if n := count(func(int) error { return s.Redeem(ctx, redemption) }, verifier.ErrNotFound); n != 1 {
			t.Errorf("redeemed %d times", n)
		}
		check(t, s)
	})
}

func TestSweep(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		ctx, s := context.Background(), open(t, url)
		for i := range 450 {
			if err := s.Create(ctx, transaction("a", fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Finish(ctx, "a", "7", outcome(verifier.Valid)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Expire(ctx, now.Add(3*time.Minute-time.Second)); n != 0 || err != nil {
			t.Errorf("expired early: %d %v", n, err)
		}
		if n, err := s.Expire(ctx, now.Add(3*time.Minute)); n != 449 || err != nil {
			t.Errorf("expired %d %v", n, err)
		}
		check(t, s)
		if n, err := s.Purge(ctx, verifier.Purge{ClaimsBefore: now.Add(time.Hour), RowsBefore: now}); n != 1 || err != nil {
			t.Errorf("purged %d %v", n, err)
		}
		if n, err := s.Purge(ctx, verifier.Purge{ClaimsBefore: now.Add(time.Hour), RowsBefore: now.Add(time.Hour)}); n != 900 || err != nil {
			t.Errorf("purged %d %v", n, err)
		}
	})
}
