package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
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
		for _, text := range texts {
			raw, err := hex.DecodeString(text)
			if err != nil {
				return nil, err
			}
			get := l.a.object
			if kind == "root" {
				get = l.a.epoch
			}
			item, err := get([32]byte(raw))
			if err != nil && !errors.Is(err, ErrNotArchived) || size > archivedBytes {
				return nil, err
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
		if count > 100 {
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
			asked += strings.Count(url, "hash=")
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
				return registry.Encode(make([][]byte, strings.Count(url, "=")))
			},
			"one object for all": func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
				items := make([][]byte, strings.Count(url, "="))
				for i := range items {
					items[i] = make([]byte, 65)
				}
				return registry.Encode(items)
			},
			"a huge object": func(_ context.Context, url, _ string, _ int64) ([]byte, error) {
				return registry.Encode(append([][]byte{make([]byte, 1<<20)}, make([][]byte, strings.Count(url, "=")-1)...))
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

const (
	archiveChild = "DOJANG_ARCHIVE_TEST_DIR"
	archiveStep  = "DOJANG_ARCHIVE_TEST_STEP"
)

// TestArchiveKillChild is the child of TestArchiveKill: it stores epochs, prints the root of each that is stored, and kills itself
// at a step.
func TestArchiveKillChild(t *testing.T) {
	dir := os.Getenv(archiveChild)
	if dir == "" {
		t.Log("runs only as a child of TestArchiveKill")
		return
	}
	name, count, _ := strings.Cut(os.Getenv(archiveStep), " ")
	left, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	s, a := archiving(t, dir)
	sound(t, a) // whatever was killed before
	a.step = func(at string) {
		if at == name {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	}
	p := newPress(t)
	have, _ := s.Epoch(agency)
	r := rand.New(rand.NewPCG(have.Sequence, 1))
	raw := make([]byte, 2_500_000)
	for range 5 {
		have.Sequence++
		for range 200_000 { // revocations only, so that an epoch brings more than one batch
			raw[r.IntN(len(raw))] |= 0x11 & byte(r.Uint32())
		}
		uri := "https://status.example/" + agency.ID() + "/1"
		if l, err := s.List(uri, StatusJWT); err == nil { // and none is taken back
			record, err := statuslist.ParseRecord(l.Record)
			if err != nil {
				t.Fatal(err)
			}
			v, err := record.Read(StatusJWT, l.Token)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range v.Raw() {
				raw[i] |= b
			}
		}
		issued := p.begin.Add(time.Duration(have.Sequence) * time.Second)
		record, token := p.list(uri, raw, issued)
		e := registry.StatusEpoch{Issuer: agency, Sequence: have.Sequence, IssuedAt: issued, NextUpdate: issued, Root: statuslist.EpochRoot([][]byte{record})}
		if err := s.Put(t.Context(), e, offer{records: [][]byte{record}, tokens: map[string][]byte{uri: token}}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %x\n", e.Root)
	}
}

// TestArchiveKill: SIGKILL in the middle of archiving, after some of an epoch's objects or before it counts as stored. What was stored
// is whole, what was not is written again.
func TestArchiveKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	var stored [][32]byte
	run := func(step string) (killed bool) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestArchiveKillChild$")
		cmd.Env = append(os.Environ(), archiveChild+"="+dir, archiveStep+"="+step)
		out, err := cmd.Output()
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				root, err := hex.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, [32]byte(root))
			}
		}
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("%v\n%s", err, out)
		}
		return err != nil
	}
	for _, step := range []string{"archive.objects 1", "archive.objects 4", "archive.epoch 1", "archive.epoch 2"} {
		if !run(step) {
			t.Errorf("%s was not reached", step)
		}
	}
	if run("never 1") {
		t.Error("killed by somebody else")
	}
	s, a := archiving(t, dir)
	if n := sound(t, a); n < 1000 {
		t.Errorf("only %d things", n)
	}
	if len(stored) < 6 {
		t.Fatalf("%d epochs were stored", len(stored))
	}
	for i, root := range stored {
		if here, err := a.has(root); err != nil || !here {
			t.Errorf("stored epoch %d is not in the archive: %v", i, err)
		}
		if _, err := entryOf(a, registry.StatusFact{Root: root}, s.URIs()[0], 9_000_000); err != nil {
			t.Error(err)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(dir, agency.ID(), "*")); err != nil || len(entries) != 3 {
		t.Errorf("%d files of the newest epoch: %v", len(entries), err)
	}
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
