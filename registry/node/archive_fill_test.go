package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// A long past is what the chain would say of an issuer, and an archive that has all of it.
type longPast struct {
	leaves []chain.StatusLeaf
	offers []offer
	a      *archive
	uri    string
}

// newPast publishes n epochs, the last of which is the newest.
func newPast(t *testing.T, n int, length uint64) *longPast {
	t.Helper()
	p := newPress(t)
	p.length = length
	s, a := archiving(t, t.TempDir())
	out := &longPast{a: a}
	said := states{}
	for sequence := 1; sequence <= n; sequence++ {
		said[uint64(sequence*977)%length] = statuslist.Suspended
		e, o := p.epoch(uint64(sequence), false, said, states{1: statuslist.Revoked})
		if err := s.Put(t.Context(), e, o); err != nil {
			t.Fatal(err)
		}
		out.leaves = append(out.leaves, chain.StatusLeaf{Since: uint64(10 * sequence), Until: uint64(10*sequence + 10), Root: e.Root})
		out.offers = append(out.offers, o)
	}
	out.uri = s.URIs()[0]
	return out
}

// filling is a filler of an empty archive for what out's chain says; nothing runs.
func (l *longPast) filling(t *testing.T, dir string, fetch Fetch, peers ...string) *filler {
	t.Helper()
	_, a := archiving(t, dir)
	f := newFiller(fillerConfig{Archive: a, Network: "local", Stored: func() error { return nil }, Log: slog.New(slog.DiscardHandler), Fetch: fetch, Peers: peers,
		Since: func(registry.DID) (uint64, error) { return 25, nil }, // while the second epoch stood
		Replaced: func(_ registry.DID, from uint64, f func(chain.StatusLeaf) bool) error {
			for _, leaf := range l.leaves {
				if leaf.Since >= from && !f(leaf) {
					break
				}
			}
			return nil
		}})
	f.wake(agency)
	return f
}

// face answers like registry/web.
func (l *longPast) face(rawURL string) ([]byte, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Path != ArchivePath {
		return nil, os.ErrNotExist
	}
	var items [][]byte
	size := 0
	for kind, texts := range u.Query() {
		hashes, err := DecodeHashes(texts[0])
		if err != nil || len(rawURL) > 1500 {
			return nil, fmt.Errorf("%d bytes of URL: %w", len(rawURL), err)
		}
		get := l.a.object
		if kind == "root" {
			get = l.a.epoch
		}
		for _, h := range hashes {
			item, err := get(h)
			if err != nil && !errors.Is(err, ErrNotArchived) {
				return nil, err
			}
			if size > archivedBytes {
				item = nil
			}
			size += len(item)
			items = append(items, item)
		}
	}
	return registry.Encode(items)
}

// whole reports whether everything since the accreditation is there and right.
func (l *longPast) whole(t *testing.T, a *archive) bool {
	t.Helper()
	sound(t, a)
	all := true
	for i, leaf := range l.leaves {
		for _, idx := range []uint64{0, 977, 5000, uint64(i) * 977} {
			is, err := entryOf(a, registry.StatusFact{Root: leaf.Root}, l.uri, idx)
			switch {
			case errors.Is(err, ErrNotArchived):
				if i > 0 {
					all = false
				}
			case err != nil || i == 0 || is != l.offers[i].values(t, 0, idx):
				t.Fatalf("epoch %d, entry %d: %v %v", i+1, idx, is, err)
			}
		}
	}
	return all
}

func hashesIn(url string) int {
	_, text, _ := strings.Cut(url, "=")
	hashes, _ := DecodeHashes(text)
	return len(hashes)
}

func TestFiller(t *testing.T) {
	l := newPast(t, 150, 200_000)
	count := 0
	good := func(_ context.Context, url, _ string, limit int64) ([]byte, error) {
		count++
		raw, err := l.face(url)
		if int64(len(raw)) > limit {
			t.Errorf("%d bytes where %d are taken", len(raw), limit)
		}
		return raw, err
	}
	fill := func(t *testing.T, f *filler) error {
		t.Helper()
		if _, err := f.scan(); err != nil {
			t.Fatal(err)
		}
		_, err := f.round(t.Context())
		return err
	}
	t.Run("everything since the accreditation", func(t *testing.T) {
		count = 0
		f := l.filling(t, t.TempDir(), good, "https://peer")
		if err := fill(t, f); err != nil {
			t.Fatal(err)
		}
		if !l.whole(t, f.cfg.Archive) || f.cfg.Archive.missing.Load() != 0 {
			t.Fatalf("%d are missing", f.cfg.Archive.missing.Load())
		}
		if count > 150 {
			t.Errorf("%d requests", count)
		}
		if n, err := f.scan(); n != 0 || err != nil {
			t.Errorf("looked again: %d %v", n, err)
		}
	})
	t.Run("a peer that stops again and again", func(t *testing.T) {
		dir, left, asked := t.TempDir(), 0, 0
		fetch := func(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
			if left--; left < 0 {
				return nil, errors.New("gone")
			}
			if strings.Contains(url, "hash=") {
				asked += hashesIn(url)
			}
			return good(ctx, url, accept, limit)
		}
		for round := 0; ; round++ {
			left = 12                                     // down one tree, and a little more
			f := l.filling(t, dir, fetch, "https://peer") // another process each time
			_ = fill(t, f)
			done := f.cfg.Archive.missing.Load() == 0
			if done != l.whole(t, f.cfg.Archive) {
				t.Fatal("done, and not whole")
			}
			if err := f.cfg.Archive.close(); err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			if round > 200 {
				t.Fatal("it never gets further")
			}
		}
		if have := int(sound(t, l.a)); asked > 5*have {
			t.Errorf("asked for %d objects of %d", asked, have)
		}
	})
	t.Run("hostile peers", func(t *testing.T) {
		other := newPast(t, 3, 200_000)
		for name, answer := range map[string]Fetch{
			"wrong bytes": func(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
				raw, err := good(ctx, url, accept, limit)
				raw[len(raw)-1] ^= 1
				return raw, err
			},
			"another's": func(_ context.Context, url, _ string, _ int64) ([]byte, error) { return other.face(url) },
			"too much":  func(_ context.Context, _, _ string, limit int64) ([]byte, error) { return make([]byte, limit+1), nil },
			"no CBOR":   func(context.Context, string, string, int64) ([]byte, error) { return []byte("<html>"), nil },
			"too few":   func(context.Context, string, string, int64) ([]byte, error) { return []byte{0x80}, nil },
			"nothing":   func(context.Context, string, string, int64) ([]byte, error) { return nil, errors.New("404") },
			"empty ones": func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
				return registry.Encode(make([][]byte, hashesIn(url)))
			},
			"one object for all": func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
				items := make([][]byte, hashesIn(url))
				for i := range items {
					items[i] = make([]byte, 65)
				}
				return registry.Encode(items)
			},
			"a huge object": func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
				return registry.Encode(append([][]byte{make([]byte, 1<<20)}, make([][]byte, hashesIn(url)-1)...))
			},
		} {
			t.Run(name, func(t *testing.T) {
				alone := l.filling(t, t.TempDir(), answer, "https://hostile")
				if err := fill(t, alone); err == nil {
					t.Error("nothing is wrong")
				}
				a := alone.cfg.Archive
				if n := sound(t, a); n != 0 || a.missing.Load() != 149 || l.whole(t, a) {
					t.Errorf("%d things are taken, %d are missing", n, a.missing.Load())
				}
				both := l.filling(t, t.TempDir(), func(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
					if strings.HasPrefix(url, "https://hostile") {
						return answer(ctx, url, accept, limit)
					}
					return good(ctx, url, accept, limit)
				}, "https://hostile", "https://peer")
				_ = fill(t, both)
				if !l.whole(t, both.cfg.Archive) || both.cfg.Archive.missing.Load() != 0 {
					t.Errorf("the honest peer is not heard: %d are missing", both.cfg.Archive.missing.Load())
				}
			})
		}
	})
	t.Run("records of lists of others", func(t *testing.T) {
		f := l.filling(t, t.TempDir(), good, "https://peer")
		f.issuers = map[registry.DID]bool{operator: true} // as if the leaves were this one's
		if err := fill(t, f); err == nil || sound(t, f.cfg.Archive) != 0 {
			t.Errorf("taken: %v", err)
		}
	})
	t.Run("more than an epoch may bring", func(t *testing.T) {
		f := l.filling(t, t.TempDir(), good, "https://peer")
		f.cfg.Archive.growth = 1000 // a chunk with the nodes above it is more
		if err := fill(t, f); !errors.Is(err, errGrowth) {
			t.Errorf("%v", err)
		}
		missing, have := f.cfg.Archive.missing.Load(), sound(t, f.cfg.Archive)
		if missing == 0 || missing == 149 {
			t.Errorf("%d are missing", missing)
		}
		if _, err := f.round(t.Context()); err == nil || f.cfg.Archive.missing.Load() != missing || sound(t, f.cfg.Archive) != have {
			t.Errorf("asked for again: %v", err)
		}
	})
	t.Run("by itself", func(t *testing.T) {
		f := l.filling(t, t.TempDir(), good, "https://peer")
		f.start()
		defer f.stop()
		for end := time.Now().Add(60 * time.Second); !l.whole(t, f.cfg.Archive); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("never")
			}
		}
	})
}

func FuzzParseArchived(f *testing.F) {
	raw, err := registry.Encode([][]byte{{0, 1, 2}, nil, make([]byte, 65)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, 3)
	f.Add([]byte{0x80}, 0)
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 64)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		items, err := parseArchived(raw, n)
		if err == nil && len(items) != n || err != nil && items != nil {
			t.Fatalf("%d items for %d: %v", len(items), n, err)
		}
	})
}

func FuzzEpochRecords(f *testing.F) {
	record, err := statuslist.Record{URI: "https://status.example/a/1", Bits: 2, Length: 64}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	raw, err := registry.Encode([][]byte{record, record})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := epochRecords(raw, [32]byte{1}); err == nil {
			t.Fatal("taken under a root that is nobody's")
		}
		var records [][]byte
		if strictCBOR.Unmarshal(raw, &records) != nil {
			return
		}
		root := statuslist.EpochRoot(records)
		if got, err := epochRecords(raw, root); err != nil || len(got) != len(records) {
			t.Fatal(err)
		}
		stored := storedEpoch{Issuer: string(agency), Root: root[:], Records: records}
		_, _ = stored.parse() // must not panic
	})
}
