package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/evidence/entry"
)

const (
	host   = "https://status.example/"
	victim = 4712
)

// An issue is one version of an agency's two lists, the first of which has one entry that is not valid.
type issue struct {
	values  [2]statuslist.Values
	records [][]byte
}

func print(t *testing.T, d registry.DID, s statuslist.Status, mark byte) issue {
	t.Helper()
	var out issue
	for n := range out.values {
		list, err := statuslist.NewList(2, 20_000)
		if err == nil && n == 0 {
			err = list.Set(victim, s)
		}
		if err != nil {
			t.Fatal(err)
		}
		out.values[n] = list.Values()
		record, err := statuslist.Record{URI: host + d.ID() + "/" + string(rune('1'+n)), Bits: 2, Length: 20_000, Root: out.values[n].Root(),
			Tokens: statuslist.TokenDigests{JWT: sha256.Sum256([]byte{byte(n), mark})}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out.records = append(out.records, record)
	}
	return out
}

func (i issue) part(t *testing.T, list int) evidence.Status {
	t.Helper()
	path, err := statuslist.ProveRecord(i.records, list)
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := i.values[list].CutChunk(victim)
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Status{Record: i.records[list], Index: uint64(list), Size: uint64(len(i.records)), Path: path, Chunk: chunk}
}

// a history: valid at 0, suspended at 1, worse by the operator at 2, re-dated at 3.
type history struct {
	c       *chaintest.Chain
	agency  registry.DID
	issues  []issue
	moments []time.Time
}

func newHistory(t *testing.T) *history {
	h := &history{c: chaintest.New(t, chaintest.Config{Validators: 4, Machine: chain.Config{KeepVersions: 1}})}
	c := h.c
	c.Step = time.Hour
	a, second := c.Agency("gaon"), c.Agency("second")
	h.agency = a.DID
	second.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "st", Use: registry.UseStatus, Key: second.Key("st").Public()}}})
	accredit := a.AccreditOperation("urn:test", 1)
	accredit.Body.(*registry.AccreditBody).Operator = second.DID
	c.Must(c.Op(accredit, chaintest.Member(0)))
	for n, s := range []statuslist.Status{statuslist.Valid, statuslist.Suspended, statuslist.Revoked, statuslist.Revoked} {
		now := print(t, a.DID, s, byte(n))
		op := a.EpochOperation()
		op.Body.(*registry.EpochBody).Root = statuslist.EpochRoot(now.records)
		key := a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))
		if n >= 2 {
			op.Body.(*registry.EpochBody).Via = &registry.AccreditationRef{Type: "urn:test", N: 1}
			key = second.Key("st").As(second.DID.URL("st"))
		}
		c.Must(c.Op(op, key))
		c.Block()
		c.Block()
		h.issues, h.moments = append(h.issues, now), append(h.moments, c.Headers[len(c.Headers)-1].Time)
	}
	for range 50 {
		c.Block()
	}
	c.Agency("customs")
	c.Block()
	return h
}

// shows is a checked Evidence for a moment with that part.
func (h *history) shows(t *testing.T, m evidence.Moment, part evidence.Status) *evidence.Facts {
	t.Helper()
	raw, err := evidence.Attach(h.c.Evidence(chain.Query{Status: []registry.DID{h.agency}, At: m.At, Known: m.Known}), part)
	if err != nil {
		t.Fatal(err)
	}
	f, err := evidence.Check(raw, h.c.Trust(), h.c.Now())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (h *history) ref(list int, idx uint64) statuslist.Reference {
	return statuslist.Reference{URI: host + h.agency.ID() + "/" + string(rune('1'+list)), Index: idx}
}

// whole is the part of a moment as a node serves it.
func (h *history) whole(t *testing.T, n, list int) evidence.Status {
	part := h.issues[n].part(t, list)
	if n >= 2 {
		base := h.issues[1].part(t, list)
		part.Base = &base
		if h.issues[1].values[list].Equal(h.issues[n].values[list]) {
			base.Chunk = nil
		}
	}
	return part
}

func TestAt(t *testing.T) {
	h := newHistory(t)
	const valid, suspended, revoked = statuslist.Valid, statuslist.Suspended, statuslist.Revoked
	for _, tt := range []struct {
		name       string
		at, known  int // moments; -1: none
		shown      int // issue
		list       int
		idx        uint64
		want, base statuslist.Status
		err        error
	}{
		{name: "valid then", at: 0, known: 0, idx: victim},
		{name: "as known later", at: 0, known: 3, idx: victim},
		{name: "later, as known before", at: 3, known: 0, idx: victim},
		{name: "suspended", at: 1, known: -1, shown: 1, idx: victim, want: suspended, base: suspended},
		{name: "a neighbour in the chunk", at: 1, known: -1, shown: 1, idx: victim + 1},
		{name: "revoked by the operator", at: 2, known: 2, shown: 2, idx: victim, want: revoked, base: suspended},
		{name: "a neighbour under the operator", at: 2, known: 2, shown: 2, idx: victim + 1},
		{name: "another list of the operator, not changed", at: 2, known: -1, shown: 2, list: 1, idx: victim},
		{name: "re-dated", at: 3, known: -1, shown: 3, idx: victim, want: revoked, base: suspended},
		{name: "of another moment", at: 1, known: -1, shown: 0, idx: victim, err: entry.ErrShown},
		{name: "of a later moment", at: 1, known: -1, shown: 3, idx: victim, err: entry.ErrShown},
		{name: "asked for as known before", at: 3, known: 1, shown: 3, idx: victim, err: entry.ErrShown},
		{name: "another chunk", at: 0, known: 0, idx: victim + 4096, err: entry.ErrShown},
		{name: "outside of the list", at: 0, known: 0, idx: 20_000, err: statuslist.ErrIndex},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := evidence.Moment{At: h.moments[tt.at]}
			if tt.known >= 0 {
				m.Known = h.moments[tt.known]
			}
			f := h.shows(t, m, h.whole(t, tt.shown, tt.list))
			a, err := entry.At(f, h.agency, h.ref(tt.list, tt.idx), m)
			if !errors.Is(err, tt.err) || err == nil && (a.Status != tt.want || a.Base != tt.base) || err != nil && a != (entry.Answer{}) {
				t.Fatalf("%+v %v", a, err)
			}
			if tt.err == entry.ErrShown && !errors.Is(err, registry.ErrUntrusted) {
				t.Errorf("%v is not ErrUntrusted", err)
			}
			if _, err := entry.At(f, h.agency, h.ref(1-tt.list, tt.idx), m); !errors.Is(err, registry.ErrUnavailable) && tt.err == nil {
				t.Errorf("another list than asked for: %v", err)
			}
			if entry.Shows(f) != h.ref(tt.list, 0).URI {
				t.Errorf("shows %q", entry.Shows(f))
			}
		})
	}
	t.Run("what is left out is unknown", func(t *testing.T) {
		m := evidence.Moment{At: h.moments[2]}
		part := h.whole(t, 2, 0)
		part.Base = nil
		if _, err := entry.At(h.shows(t, m, part), h.agency, h.ref(0, victim), m); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("no base: %v", err)
		}
		part = h.whole(t, 1, 0)
		part.Chunk = nil
		m.At = h.moments[1]
		if _, err := entry.At(h.shows(t, m, part), h.agency, h.ref(0, victim), m); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("no chunk: %v", err)
		}
		f, err := evidence.Check(h.c.Evidence(chain.Query{Status: []registry.DID{h.agency}, At: m.At}), h.c.Trust(), h.c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.At(f, h.agency, h.ref(0, victim), m); !errors.Is(err, registry.ErrUnavailable) || entry.Shows(f) != "" {
			t.Errorf("no part: %v", err)
		}
		early := evidence.Moment{At: chaintest.Begin.Add(-time.Hour)}
		if _, err := entry.At(h.shows(t, early, h.whole(t, 0, 0)), h.agency, h.ref(0, victim), early); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("before there was an epoch: %v", err)
		}
		elsewhere := print(t, "did:dojang:demo:QmOther", statuslist.Valid, 9)
		other := statuslist.Reference{URI: host + "QmOther/1", Index: victim}
		if _, err := entry.At(h.shows(t, m, elsewhere.part(t, 0)), h.agency, other, m); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("another's list: %v", err)
		}
		whole := h.shows(t, evidence.Moment{At: h.moments[1]}, h.whole(t, 1, 0))
		if _, err := entry.At(whole, h.agency, h.ref(0, victim), evidence.Moment{At: h.moments[0]}); !errors.Is(err, registry.ErrUnavailable) && !errors.Is(err, entry.ErrShown) {
			t.Errorf("made for another moment: %v", err)
		}
	})
}

// TestBent: whatever of record, path, chunk or base is changed by one bit, nothing is answered.
func TestBent(t *testing.T) {
	h := newHistory(t)
	for _, n := range []int{1, 2} {
		m := evidence.Moment{At: h.moments[n]}
		refused := func(what string, part evidence.Status) {
			t.Helper()
			if a, err := entry.At(h.shows(t, m, part), h.agency, h.ref(0, victim), m); err == nil || a != (entry.Answer{}) {
				t.Errorf("issue %d, %s: %+v %v", n, what, a, err)
			}
		}
		bend := func(what string, field func(*evidence.Status) *[]byte) {
			size := len(*field(ptr(h.whole(t, n, 0))))
			for at := 0; at < size; at += max(1, size/40) {
				part := h.whole(t, n, 0)
				b := field(&part)
				*b = bytes.Clone(*b)
				(*b)[at] ^= 1
				refused(what, part)
			}
			part := h.whole(t, n, 0)
			b := field(&part)
			*b = append(bytes.Clone(*b), 0)
			if len(*b) != 33 { // a hash in a path has one length on the wire
				refused(what+" longer", part)
			}
		}
		bend("record", func(s *evidence.Status) *[]byte { return &s.Record })
		bend("path", func(s *evidence.Status) *[]byte { return &s.Path[0] })
		bend("chunk", func(s *evidence.Status) *[]byte { return &s.Chunk })
		if n == 2 {
			bend("base record", func(s *evidence.Status) *[]byte { return &s.Base.Record })
			bend("base path", func(s *evidence.Status) *[]byte { return &s.Base.Path[0] })
			bend("base chunk", func(s *evidence.Status) *[]byte { return &s.Base.Chunk })
		}
		for what, change := range map[string]func(*evidence.Status){
			"another place": func(s *evidence.Status) { s.Index++ }, "another size": func(s *evidence.Status) { s.Size++ }, "no path": func(s *evidence.Status) { s.Path = nil },
			"the record of the other list": func(s *evidence.Status) { s.Record = h.issues[n].records[1] },
			"the chunk of another version": func(s *evidence.Status) { s.Chunk = h.issues[0].part(t, 0).Chunk },
		} {
			part := h.whole(t, n, 0)
			change(&part)
			refused(what, part)
		}
	}
	t.Run("an operator that made it better is not believed", func(t *testing.T) {
		m := evidence.Moment{At: h.moments[2]}
		part := h.whole(t, 2, 0)
		better := h.issues[2].part(t, 0)
		part.Base = &better // as if the issuer had said so already
		if _, err := entry.At(h.shows(t, m, part), h.agency, h.ref(0, victim), m); !errors.Is(err, entry.ErrShown) {
			t.Error(err)
		}
	})
}

func ptr(s evidence.Status) *evidence.Status { return &s }
