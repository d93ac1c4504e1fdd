package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

func everybody(registry.DID) bool { return true }

// archiving is a store that archives everything.
func archiving(t testing.TB, dir string) (*StatusStore, *archive) {
	t.Helper()
	s, err := OpenStatusStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.close() })
	s.archiveTo(a, everybody)
	return s, a
}

// sound counts what the archive has, and fails when something of it is not as it should be.
func sound(t testing.TB, a *archive) int64 {
	t.Helper()
	var row Row
	if err := a.check(context.Background(), &row); err != nil || row.Violations != 0 {
		t.Fatalf("%+v %v", row, err)
	}
	return row.Checked
}

// entryOf reads an entry back as a reader of Evidence would.
func entryOf(a *archive, fact registry.StatusFact, uri string, idx uint64) (statuslist.Status, error) {
	part, err := a.status(fact, uri, idx&^(statuslist.EntryGroup-1))
	if err != nil {
		return 0, err
	}
	record, err := statuslist.VerifyRecord(fact.Root, statuslist.RecordProof{Record: part.Record, Index: part.Index, Size: part.Size, Path: part.Path})
	if err != nil {
		return 0, err
	}
	return statuslist.VerifyChunk(record, part.Chunk, idx)
}

// TestArchiveKeeps: versions that were replaced are there, and only then; whose lists are not kept leave nothing.
func TestArchiveKeeps(t *testing.T) {
	p := newPress(t)
	p.length = 20_000
	s, a := archiving(t, t.TempDir())
	said := states{}
	var roots [][32]byte
	for sequence := uint64(1); sequence <= 20; sequence++ {
		said[sequence*900] = statuslist.Suspended
		e, o := p.epoch(sequence, false, said, states{7: statuslist.Revoked})
		if err := s.Put(t.Context(), e, o); err != nil {
			t.Fatal(err)
		}
		roots = append(roots, e.Root)
	}
	uri := s.URIs()[0]
	for i, root := range roots {
		for n := range roots {
			want := statuslist.Valid
			if n <= i {
				want = statuslist.Suspended
			}
			if is, err := entryOf(a, registry.StatusFact{Root: root}, uri, uint64(n+1)*900); err != nil || is != want {
				t.Fatalf("epoch %d, entry %d: %v %v", i+1, n+1, is, err)
			}
		}
	}
	if n := sound(t, a); n > 20*10 { // an epoch, a chunk and three nodes above it; some entries share chunks
		t.Errorf("%d things for 20 versions that differ in one entry each", n)
	}
	for what, err := range map[string]error{
		"another epoch":     second(a.status(registry.StatusFact{Root: [32]byte{1}}, uri, 0)),
		"a base not here":   second(a.status(registry.StatusFact{Root: roots[0], Base: &registry.StatusBase{Root: [32]byte{1}}}, uri, 0)),
		"no such list":      second(a.status(registry.StatusFact{Root: roots[0]}, uri+"1", 0)),
		"outside the list":  second(a.status(registry.StatusFact{Root: roots[0]}, uri, 20_480)),
		"part of a list id": second(a.status(registry.StatusFact{Root: roots[0]}, uri[:len(uri)-1], 0)),
	} {
		want := ErrNoList
		if strings.HasSuffix(what, "here") || strings.HasPrefix(what, "another") {
			want = ErrNotArchived
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Run("an issuer that nobody accredited", func(t *testing.T) {
		s, a := archiving(t, t.TempDir())
		accredited := false
		s.archiveTo(a, func(registry.DID) bool { return accredited })
		p := newPress(t)
		put := func(sequence uint64) [32]byte {
			t.Helper()
			e, o := p.epoch(sequence, false, states{sequence: statuslist.Suspended})
			if err := s.Put(t.Context(), e, o); err != nil {
				t.Fatal(err)
			}
			return e.Root
		}
		first, second := put(1), put(2)
		accredited = true
		if n := sound(t, a); n != 0 {
			t.Errorf("%d things", n)
		}
		third := put(3) // brings what was served when it was accredited
		for root, want := range map[[32]byte]bool{first: false, second: true, third: true} {
			if here, err := a.has(root); err != nil || here != want {
				t.Errorf("%v %v, want %v", here, err, want)
			}
		}
	})
	t.Run("a list that says something else than its record", func(t *testing.T) {
		p := newPress(t)
		s, a := archiving(t, t.TempDir())
		e, o := p.epoch(1, false, states{})
		r, err := statuslist.ParseRecord(o.records[0])
		if err != nil {
			t.Fatal(err)
		}
		r.Root[0] ^= 1
		if o.records[0], err = r.Marshal(); err != nil {
			t.Fatal(err)
		}
		e.Root = statuslist.EpochRoot(o.records)
		if err := s.Put(t.Context(), e, o); !errors.Is(err, statuslist.ErrProof) {
			t.Errorf("taken: %v", err)
		}
		if _, ok := s.Epoch(agency); ok || sound(t, a) != 0 {
			t.Error("something is served, or kept")
		}
	})
	t.Run("more than an epoch may bring is served, not kept", func(t *testing.T) {
		p := newPress(t)
		p.length = 200_000
		s, a := archiving(t, t.TempDir())
		a.growth = 10_000
		many := states{}
		for i := range uint64(2000) {
			many[i*100] = statuslist.Suspended
		}
		e, o := p.epoch(1, false, many)
		if err := s.Put(t.Context(), e, o); err != nil {
			t.Fatal(err)
		}
		if here, _ := a.has(e.Root); here || sound(t, a) != 0 {
			t.Error("kept")
		}
		if now, _ := s.Epoch(agency); now.Sequence != 1 {
			t.Error("not served")
		}
	})
}

func second[T any](_ T, err error) error { return err }

// TestArchiveFinds: what was bent on disk is neither given out nor overlooked.
func TestArchiveFinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		bend func(t *testing.T, a *archive, root [32]byte)
	}{
		{"a chunk changed", func(t *testing.T, a *archive, _ [32]byte) {
			one(t, a, 't', func(v []byte) bool { return v[0] == 0 }, func(v []byte) []byte { v[10] ^= 1; return v })
		}},
		{"a chunk gone", func(t *testing.T, a *archive, _ [32]byte) {
			one(t, a, 't', func(v []byte) bool { return v[0] == 0 }, func([]byte) []byte { return nil })
		}},
		{"a node changed", func(t *testing.T, a *archive, _ [32]byte) {
			one(t, a, 't', func(v []byte) bool { return v[0] == 1 }, func(v []byte) []byte { v[40] ^= 1; return v })
		}},
		{"a record changed", func(t *testing.T, a *archive, _ [32]byte) {
			one(t, a, 'r', func([]byte) bool { return true }, func(v []byte) []byte { v[len(v)-1] ^= 1; return v })
		}},
		{"the tree of a list gone", func(t *testing.T, a *archive, root [32]byte) {
			raw, err := a.epoch(root)
			if err != nil {
				t.Fatal(err)
			}
			records, err := epochRecords(raw, root)
			if err != nil {
				t.Fatal(err)
			}
			r, err := statuslist.ParseRecord(records[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := a.db.DeleteSync(objectKey(r.Root)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPress(t)
			p.length = 20_000
			s, a := archiving(t, t.TempDir())
			e, o := p.epoch(1, false, states{1: statuslist.Revoked, 5000: statuslist.Revoked, 9000: statuslist.Suspended, 15_000: statuslist.Suspended, 19_000: statuslist.Revoked})
			if err := s.Put(t.Context(), e, o); err != nil {
				t.Fatal(err)
			}
			sound(t, a)
			tt.bend(t, a, e.Root)
			var row Row
			if err := a.check(t.Context(), &row); err != nil || row.Violations == 0 {
				t.Errorf("%+v %v", row, err)
			}
			refused := 0
			for idx := uint64(0); idx < 20_000; idx += 1000 {
				want := o.values(t, 0, idx)
				switch is, err := entryOf(a, registry.StatusFact{Root: e.Root}, s.URIs()[0], idx); {
				case errors.Is(err, ErrNotArchived):
					refused++
				case err != nil || is != want:
					t.Errorf("entry %d: %v %v", idx, is, err)
				}
			}
			if refused == 0 {
				t.Error("all is answered")
			}
		})
	}
}

// values of an offered list.
func (o offer) values(t *testing.T, list int, idx uint64) statuslist.Status {
	t.Helper()
	r, err := statuslist.ParseRecord(o.records[list])
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.Read(StatusJWT, o.tokens[r.URI])
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Status(idx)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// one bends the first value under a prefix that is meant; nil deletes it.
func one(t *testing.T, a *archive, prefix byte, which func([]byte) bool, bend func([]byte) []byte) {
	t.Helper()
	var key, value []byte
	err := a.each([]byte{prefix}, func(k, v []byte) bool {
		if which(v) {
			key, value = slices.Clone(k), slices.Clone(v)
		}
		return key == nil
	})
	if err != nil || key == nil {
		t.Fatalf("nothing to bend: %v", err)
	}
	if value = bend(value); value == nil {
		err = a.db.DeleteSync(key)
	} else {
		err = a.db.SetSync(key, value)
	}
	if err != nil {
		t.Fatal(err)
	}
}
