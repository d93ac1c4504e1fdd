package ttlkv_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dojang-id/dojang/internal/ttlkv"
)

// world is one engine under test: the store, a second door to the same keys, a way to let time pass, and the damage
// that the outside can do.
type world struct {
	store  *ttlkv.Store
	second *ttlkv.Store
	pass   func(time.Duration)
	flush  func()
	swap   func(from, to string)               // make key "to" answer with the value of key "from"
	back   func(limit string, d time.Duration) // the clock of a limiter's key goes back
}

// clock is the twin's.
type clock struct{ us atomic.Int64 }

func (c *clock) now() time.Time       { return time.UnixMicro(c.us.Load()) }
func (c *clock) pass(d time.Duration) { c.us.Add(d.Microseconds()) }
func newClock() *clock                { c := &clock{}; c.us.Store(1_795_000_000_000_000); return c }
func background() context.Context     { return context.Background() }
func each(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Run("twin", func(t *testing.T) {
		c := newClock()
		s := open(t, ttlkv.Config{Now: c.now, Prefix: "test:"})
		f(t, &world{store: s, second: s, pass: c.pass, back: func(_ string, d time.Duration) { c.pass(-d) }})
	})
	url := os.Getenv("DOJANG_TEST_REDIS")
	if url == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DOJANG_TEST_REDIS is not set")
		}
		return
	}
	t.Run("redis", func(t *testing.T) {
		prefix := rand.Text() + ":"
		cfg := ttlkv.Config{URL: url, Prefix: prefix}
		o, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal("DOJANG_TEST_REDIS is not a URL")
		}
		raw := redis.NewClient(o)
		t.Cleanup(func() { _ = raw.Close() })
		f(t, &world{store: open(t, cfg), second: open(t, cfg), pass: time.Sleep,
			flush: func() { // only our own keys: the server may serve other tests
				for _, k := range raw.Keys(background(), prefix+"*").Val() {
					raw.Del(background(), k)
				}
			},
			swap: func(from, to string) {
				raw.Set(background(), prefix+to, raw.Get(background(), prefix+from).Val(), time.Minute)
			},
			back: func(limit string, d time.Duration) { // the server's clock is not ours to move: the key's time is
				raw.IncrBy(background(), prefix+"limit:"+limit, d.Microseconds())
				raw.Expire(background(), prefix+"limit:"+limit, 2*d)
			}})
	})
}

func open(t *testing.T, cfg ttlkv.Config) *ttlkv.Store {
	t.Helper()
	s, err := ttlkv.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		absent := func(what, k string) {
			t.Helper()
			if v, err := w.second.Get(ctx, k); !errors.Is(err, ttlkv.ErrNotFound) {
				t.Errorf("%s: %q, %v", what, v, err)
			}
		}
		has := func(what, k, want string) {
			t.Helper()
			if v, err := w.second.Get(ctx, k); err != nil || string(v) != want {
				t.Errorf("%s: %q, %v", what, v, err)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		absent("never set", "a")
		must(w.store.Set(ctx, "a", []byte("1"), time.Minute))
		must(w.store.Set(ctx, "a", []byte("2\x00\r\n"), time.Minute))
		has("replaced", "a", "2\x00\r\n")
		if ok, err := w.second.SetNX(ctx, "a", []byte("3"), time.Minute); ok || err != nil {
			t.Errorf("SetNX over a value: %v %v", ok, err)
		}
		has("kept", "a", "2\x00\r\n")
		if v, err := w.second.Take(ctx, "a"); err != nil || string(v) != "2\x00\r\n" {
			t.Errorf("take: %q %v", v, err)
		}
		if _, err := w.store.Take(ctx, "a"); !errors.Is(err, ttlkv.ErrNotFound) {
			t.Errorf("second take: %v", err)
		}
		if ok, err := w.store.SetNX(ctx, "b", nil, 300*time.Millisecond); !ok || err != nil {
			t.Errorf("SetNX: %v %v", ok, err)
		}
		has("empty value", "b", "")
		w.pass(400 * time.Millisecond)
		absent("expired", "b")
		if ok, err := w.store.SetNX(ctx, "b", []byte("again"), time.Minute); !ok || err != nil {
			t.Errorf("SetNX after expiry: %v %v", ok, err)
		}
		must(w.store.Delete(ctx, "b"))
		must(w.store.Delete(ctx, "b"))
		absent("deleted", "b")
		must(w.store.Ping(ctx))
	})
}

// K12: a ttl given in seconds lasts seconds, not milliseconds or minutes.
func TestUnits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		t.Run("K12 one second", func(t *testing.T) {
			if err := w.store.Set(t.Context(), "u", []byte("x"), time.Second); err != nil {
				t.Fatal(err)
			}
			w.pass(700 * time.Millisecond)
			if _, err := w.store.Get(t.Context(), "u"); err != nil {
				t.Errorf("gone too early: %v", err)
			}
			w.pass(400 * time.Millisecond)
			if _, err := w.store.Get(t.Context(), "u"); !errors.Is(err, ttlkv.ErrNotFound) {
				t.Errorf("still there: %v", err)
			}
		})
	})
}

func TestIncr(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for i := range 3 {
			n, left, err := w.store.Incr(t.Context(), "c", 400*time.Millisecond)
			if err != nil || n != int64(i+1) || left <= 0 || left > 400*time.Millisecond {
				t.Fatalf("%d: %d %v %v", i, n, left, err)
			}
		}
		w.pass(500 * time.Millisecond)
		if n, _, err := w.second.Incr(t.Context(), "c", time.Minute); n != 1 || err != nil {
			t.Fatalf("new window: %d %v", n, err)
		}
	})
}

// Of 50 who take one key, or set one absent key, exactly one succeeds.
func TestRace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for round := range 5 {
			k := fmt.Sprint("race-", round)
			if err := w.store.Set(t.Context(), k, []byte("x"), time.Minute); err != nil {
				t.Fatal(err)
			}
			var took, set, counted atomic.Int64
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					s := w.store
					if i%2 == 0 {
						s = w.second
					}
					if _, err := s.Take(background(), k); err == nil {
						took.Add(1)
					} else if !errors.Is(err, ttlkv.ErrNotFound) {
						t.Error(err)
					}
					if ok, err := s.SetNX(background(), k+"-nx", []byte("x"), time.Minute); err != nil {
						t.Error(err)
					} else if ok {
						set.Add(1)
					}
					n, _, err := s.Incr(background(), k+"-n", time.Minute)
					if err != nil {
						t.Error(err)
					}
					counted.Add(n)
				})
			}
			wg.Wait()
			if took.Load() != 1 || set.Load() != 1 || counted.Load() != 50*51/2 {
				t.Fatalf("%d took, %d set, counts add up to %d", took.Load(), set.Load(), counted.Load())
			}
		}
	})
}

func TestBounds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		long := string(make([]byte, 257))
		_, nx := w.store.SetNX(ctx, long, nil, time.Minute)
		_, get := w.store.Get(ctx, "")
		_, take := w.store.Take(ctx, long)
		_, _, incr := w.store.Incr(ctx, "k", 0)
		_, sub := w.store.Subscribe(ctx, long)
		for i, err := range []error{nx, get, take, incr, sub, w.store.Set(ctx, "k", make([]byte, 1<<20+1), time.Minute),
			w.store.Set(ctx, "k", nil, time.Microsecond), w.store.Set(ctx, "k", nil, -time.Second), w.store.Delete(ctx, ""),
			w.store.Publish(ctx, "", nil)} {
			if !errors.Is(err, ttlkv.ErrMisuse) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

func TestPublish(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		a, err := w.store.Subscribe(ctx, "news")
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.second.Subscribe(t.Context(), "news")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.second.Publish(t.Context(), "news", []byte("x\x00")); err != nil {
			t.Fatal(err)
		}
		if err := w.second.Publish(t.Context(), "other", []byte("y")); err != nil {
			t.Fatal(err)
		}
		for _, c := range []<-chan []byte{a, b} {
			select {
			case m := <-c:
				if string(m) != "x\x00" {
					t.Errorf("got %q", m)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("nothing arrived")
			}
		}
		cancel()
		select {
		case _, open := <-a:
			if open {
				t.Error("a message after the end")
			}
		case <-time.After(5 * time.Second):
			t.Fatal("not closed")
		}
		for range 500 { // b does not read: nobody waits for it
			if err := w.store.Publish(t.Context(), "news", []byte("z")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestLimiter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := newClock()
		l, err := ttlkv.NewLimiter(ttlkv.LimiterConfig{Store: w.store, Name: "token", Rate: 5, Burst: 3, Now: c.now})
		if err != nil {
			t.Fatal(err)
		}
		allowed := 0
		for range 10 {
			ok, retry := l.Allow(t.Context(), "192.0.2.1")
			if ok {
				allowed++
			}
			if ok != (retry == 0) || retry > 250*time.Millisecond {
				t.Errorf("%v %v", ok, retry)
			}
		}
		if allowed != 3 {
			t.Errorf("%d allowed at once", allowed)
		}
		if ok, _ := l.Allow(t.Context(), "192.0.2.2"); !ok {
			t.Error("another key is refused")
		}
		w.pass(450 * time.Millisecond) // two intervals of 200 ms
		allowed = 0
		for range 5 {
			if ok, _ := l.Allow(t.Context(), "192.0.2.1"); ok {
				allowed++
			}
		}
		if allowed != 2 {
			t.Errorf("%d allowed after 450 ms", allowed)
		}
		t.Run("K09 the clock goes back an hour", func(t *testing.T) {
			w.back("token:192.0.2.1", time.Hour)
			ok, retry := l.Allow(t.Context(), "192.0.2.1")
			if ok || retry > 250*time.Millisecond {
				t.Fatalf("%v, wait %v: a used-up burst at most, not an hour", ok, retry)
			}
			w.pass(retry + 10*time.Millisecond)
			if ok, retry := l.Allow(t.Context(), "192.0.2.1"); !ok {
				t.Errorf("wait %v more", retry)
			}
			if ok, _ := l.Allow(t.Context(), "192.0.2.1"); ok {
				t.Error("the whole burst is back")
			}
		})
	})
	for _, cfg := range []ttlkv.LimiterConfig{{}, {Name: "x", Rate: 1}, {Name: "x", Burst: 1}, {Name: "x", Rate: -1, Burst: 1}} {
		cfg.Store = open(t, ttlkv.Config{})
		if _, err := ttlkv.NewLimiter(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}

// A dead server: every call says so, and the limiter goes on by itself.
func TestUnavailable(t *testing.T) {
	if _, err := ttlkv.Open(t.Context(), ttlkv.Config{URL: "redis://:geheim@127.0.0.1:1"}); !errors.Is(err, ttlkv.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := ttlkv.Open(t.Context(), ttlkv.Config{URL: "http://:geheim@x"}); !errors.Is(err, ttlkv.ErrMisuse) {
		t.Errorf("got %v", err)
	}
	url := os.Getenv("DOJANG_TEST_REDIS")
	if url == "" {
		t.Skip("DOJANG_TEST_REDIS is not set")
	}
	s := open(t, ttlkv.Config{URL: url, Prefix: rand.Text()})
	l, err := ttlkv.NewLimiter(ttlkv.LimiterConfig{Store: s, Name: "x", Rate: 1, Burst: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ttlkv.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	allowed := 0
	for range 5 {
		if ok, _ := l.Allow(t.Context(), "k"); ok {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d allowed without a server", allowed)
	}
}

func TestEpoch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		e, err := ttlkv.NewEpoch(w.store, "dpop", time.Minute, nil)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ttlkv.NewEpoch(w.second, "dpop", time.Minute, nil)
		if err != nil {
			t.Fatal(err)
		}
		first, err := e.Current(ctx)
		if err != nil || len(first) != 22 {
			t.Fatalf("%q %v", first, err)
		}
		if same, err := other.Current(ctx); same != first || err != nil {
			t.Errorf("replicas differ: %q %v", same, err)
		}
		valid := func(word string, want bool) {
			t.Helper()
			if ok, err := other.Valid(ctx, word); ok != want || err != nil {
				t.Errorf("%q: %v %v", word, ok, err)
			}
		}
		valid(first, true)
		valid("", false)
		valid(first+"x", false)
		t.Run("K01 store lost between nonce and request", func(t *testing.T) {
			if w.flush != nil {
				w.flush()
			} else {
				w.pass(2 * time.Minute)
			}
			valid(first, false) // and asking has not drawn a new one:
			valid("", false)
			second, err := e.Current(ctx)
			if err != nil || second == first {
				t.Fatalf("%q %v", second, err)
			}
			valid(second, true)
			valid(first, false)
		})
	})
}

// An answer that belongs to another key is an error, never a value.
func TestMismatch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.swap == nil {
			return // a map cannot answer out of order
		}
		t.Run("K03 another key's value", func(t *testing.T) {
			if err := w.store.Set(t.Context(), "session-a", []byte("a"), time.Minute); err != nil {
				t.Fatal(err)
			}
			w.swap("session-a", "session-b")
			if v, err := w.store.Get(t.Context(), "session-b"); !errors.Is(err, ttlkv.ErrMismatch) || v != nil {
				t.Errorf("%q %v", v, err)
			}
			if v, err := w.store.Take(t.Context(), "session-b"); !errors.Is(err, ttlkv.ErrMismatch) || v != nil {
				t.Errorf("%q %v", v, err)
			}
		})
	})
}

// The twin's memory is bounded, and live keys are not pushed out.
func TestTwinFull(t *testing.T) {
	c := newClock()
	s := open(t, ttlkv.Config{Now: c.now, MaxBytes: 1 << 20})
	if err := s.Set(t.Context(), "mine", []byte("x"), time.Hour); err != nil {
		t.Fatal(err)
	}
	var full error
	n := 0
	for ; full == nil && n < 100_000; n++ {
		full = s.Set(t.Context(), fmt.Sprint("flood-", n), make([]byte, 1000), time.Minute)
	}
	if !errors.Is(full, ttlkv.ErrFull) || n > 1100 {
		t.Fatalf("%d keys of 1000 bytes in 1 MiB, %v", n, full)
	}
	if _, err := s.Get(t.Context(), "mine"); err != nil {
		t.Errorf("a live key was pushed out: %v", err)
	}
	c.pass(2 * time.Minute)
	for i := range 100 {
		if err := s.Set(t.Context(), fmt.Sprint("after-", i), make([]byte, 1000), time.Minute); err != nil {
			t.Fatalf("expired keys keep their room: %v", err)
		}
	}
}
