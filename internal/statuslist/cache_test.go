package statuslist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func entry(t testing.TB, uri string, sequence uint64, iat time.Time) Entry {
	t.Helper()
	v := random(t, 2, 64, 4)
	return Entry{
		Token:    &Token{URI: uri, IssuedAt: iat, ExpiresAt: iat.Add(time.Hour), TTL: time.Minute, Values: v, Digest: [32]byte{byte(sequence), byte(iat.Second()), byte(iat.Minute())}},
		Sequence: sequence, AsOf: iat,
	}
}

func newCache(t testing.TB, load func(context.Context, string) (Entry, error)) *Cache {
	t.Helper()
	if load == nil {
		load = func(context.Context, string) (Entry, error) { return Entry{}, errors.New("network is down") }
	}
	c, err := NewCache(CacheConfig{Load: load})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCacheRollback(t *testing.T) {
	tests := []struct {
		name     string
		sequence uint64
		iat      time.Duration // after signedAt
		want     error
	}{
		{"C07 lower sequence, newer iat", 6, time.Hour, ErrRollback},
		{"C07 higher sequence, older iat", 8, -time.Second, ErrRollback},
		{"C07 same sequence, older iat", 7, -time.Second, ErrRollback},
		{"C07 not anchored, older iat", 0, -time.Second, ErrRollback},
		{"the same again", 7, 0, nil},
		{"newer", 8, time.Minute, nil},
		{"not anchored yet, newer", 0, time.Minute, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCache(t, nil)
			if err := c.Put(entry(t, listURI, 7, signedAt)); err != nil {
				t.Fatal(err)
			}
			before, _ := c.Lookup(listURI)
			err := c.Put(entry(t, listURI, tt.sequence, signedAt.Add(tt.iat)))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Put: %v, want %v", err, tt.want)
			}
			after, _ := c.Lookup(listURI)
			if tt.want != nil && (after.Token != before.Token || after.AsOf != before.AsOf || after.Sequence != before.Sequence) {
				t.Error("a refused list changed the cache")
			}
			if m, _ := c.Mark(listURI); m.Sequence < 7 || m.IssuedAt.Before(signedAt) {
				t.Errorf("mark fell to %+v", m)
			}
		})
	}
	t.Run("C07 a mark survives eviction and restart", func(t *testing.T) {
		c, err := NewCache(CacheConfig{Load: func(context.Context, string) (Entry, error) { return entry(t, listURI, 6, signedAt), nil }, Max: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Put(entry(t, listURI, 7, signedAt)); err != nil {
			t.Fatal(err)
		}
		if err := c.Put(entry(t, listURI+"b", 1, signedAt)); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Lookup(listURI); ok {
			t.Error("more lists than Max")
		}
		if _, err := c.Get(t.Context(), listURI, time.Time{}); !errors.Is(err, ErrRollback) {
			t.Errorf("after eviction: %v", err)
		}
		again := newCache(t, func(context.Context, string) (Entry, error) { return entry(t, listURI, 6, signedAt), nil })
		again.Restore(c.Marks())
		if _, err := again.Get(t.Context(), listURI, time.Time{}); !errors.Is(err, ErrRollback) {
			t.Errorf("after restart: %v", err)
		}
		again.Restore([]Mark{{URI: listURI, Sequence: 1}})
		if m, _ := again.Mark(listURI); m.Sequence != 7 || !m.IssuedAt.Equal(signedAt) {
			t.Errorf("Restore lowered the mark to %+v", m)
		}
	})
}

func TestCacheGet(t *testing.T) {
	loads := 0
	fail := errors.New("no node answers")
	var next Entry
	c := newCache(t, func(_ context.Context, uri string) (Entry, error) {
		loads++
		if next.Token == nil {
			return Entry{}, fail
		}
		return next, nil
	})
	if _, err := c.Get(t.Context(), listURI, signedAt); !errors.Is(err, ErrUnavailable) || !errors.Is(err, fail) || errors.Is(err, ErrInvalid) {
		t.Errorf("nothing at hand: %v", err)
	}
	next = entry(t, listURI, 1, signedAt)
	if e, err := c.Get(t.Context(), listURI, signedAt); err != nil || e.Sequence != 1 {
		t.Errorf("first sight: %+v, %v", e, err)
	}
	if _, err := c.Get(t.Context(), listURI, signedAt); err != nil || loads != 2 {
		t.Errorf("fresh: %d loads, %v", loads, err)
	}
	if _, err := c.Get(t.Context(), listURI, signedAt.Add(time.Second)); !errors.Is(err, ErrUnavailable) || loads != 3 {
		t.Errorf("too old even after a load: %d loads, %v", loads, err)
	}
	if e, ok := c.Lookup(listURI); !ok || e.Sequence != 1 {
		t.Error("the cached list is gone")
	}
	next = entry(t, listURI+"x", 2, signedAt.Add(time.Minute))
	if _, err := c.Get(t.Context(), listURI, signedAt.Add(time.Second)); !errors.Is(err, ErrSubject) {
		t.Errorf("C05 a list of another URI: %v", err)
	}
	next = Entry{Token: c.mustToken(t), Sequence: 1, AsOf: signedAt.Add(time.Hour)}
	if e, err := c.Get(t.Context(), listURI, signedAt.Add(time.Minute)); err != nil || !e.AsOf.Equal(signedAt.Add(time.Hour)) {
		t.Errorf("the same list, known to be the latest at a later time: %+v, %v", e, err)
	}
	next.AsOf = signedAt
	if err := c.Put(next); err != nil {
		t.Fatal(err)
	}
	if e, _ := c.Lookup(listURI); !e.AsOf.Equal(signedAt.Add(time.Hour)) {
		t.Errorf("AsOf went back to %v", e.AsOf)
	}
	if _, err := NewCache(CacheConfig{}); err == nil {
		t.Error("a cache without Load")
	}
}

func (c *Cache) mustToken(t *testing.T) *Token {
	t.Helper()
	e, ok := c.Lookup(listURI)
	if !ok {
		t.Fatal("no list")
	}
	return e.Token
}

func TestCacheSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, loads atomic.Int32
		c := newCache(t, func(ctx context.Context, uri string) (Entry, error) {
			loads.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-time.After(time.Second):
				return entry(t, uri, 1, signedAt), nil
			case <-ctx.Done():
				return Entry{}, ctx.Err()
			}
		})
		var wg sync.WaitGroup
		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for i := range 64 {
			wg.Go(func() {
				if i == 0 {
					if _, err := c.Get(impatient, listURI, signedAt); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("impatient: %v", err)
					}
					return
				}
				if e, err := c.Get(t.Context(), listURI, signedAt); err != nil || e.Sequence != 1 {
					t.Errorf("waiting: %+v, %v", e, err)
				}
			})
		}
		wg.Wait()
		if loads.Load() != 1 || most.Load() != 1 {
			t.Errorf("%d loads, %d at once", loads.Load(), most.Load())
		}
		// Everybody leaves: the load ends, and a later caller starts anew.
		alone, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer leave()
		if _, err := c.Get(alone, listURI+"2", signedAt); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("alone: %v", err)
		}
		synctest.Wait()
		if running.Load() != 0 {
			t.Error("a load runs on for nobody")
		}
		if e, err := c.Get(t.Context(), listURI+"2", signedAt); err != nil || e.Token.URI != listURI+"2" {
			t.Errorf("afterwards: %+v, %v", e, err)
		}
	})
}

func TestCacheLookupDoesNotAllocate(t *testing.T) {
	c := newCache(t, nil)
	for i := range 50 {
		if err := c.Put(entry(t, fmt.Sprintf("%s-%d", listURI, i), 1, signedAt)); err != nil {
			t.Fatal(err)
		}
	}
	uri := listURI + "-7"
	if n := testing.AllocsPerRun(1000, func() {
		e, ok := c.Lookup(uri)
		if !ok {
			t.Error("not cached")
		}
		if _, err := e.Token.Status(9); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
