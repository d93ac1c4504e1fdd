package holder_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// TestOperator: the issuer is gone, its second status operator goes on. The wallet staples the operator's chunk with the issuer's
// own, and takes no list in which an entry is better.
func TestOperator(t *testing.T) {
	w := newWorld(t)
	received := w.receive()
	id := received.ID
	index := uint64(w.indexOf(t, id))
	if err := setStatus(w.agency, int64(index)+1, byte(statuslist.Suspended)); err != nil {
		t.Fatal(err)
	}
	o := newOrganisation(t, "operator", registry.UseStatus, w.facts)
	w.facts.change(func() {
		a := w.facts.accreditation[string(w.agency.did)+residentID]
		a.Operator = o.did
		w.facts.accreditation[string(w.agency.did)+residentID] = a
	})
	base, baseList := w.facts.epochs[w.agency.did], w.facts.lists[w.agency.uri]
	baseValues := w.agency.list.Values()
	// redate makes what the agency published just now the operator's.
	redate := func(signer keys.Signer) {
		w.agency.publish()
		w.facts.change(func() {
			e, l := w.facts.epochs[w.agency.did], w.facts.lists[w.agency.uri]
			record := must(statuslist.ParseRecord(l.Record))(t)
			token := must(statuslist.SignJWT(signer, keys.Header{Kid: o.url()}, statuslist.Claims{URI: w.agency.uri, IssuedAt: e.IssuedAt, ExpiresAt: e.NextUpdate,
				TTL: time.Hour, Bits: 2, Compressed: must(statuslist.Deflate(w.agency.list.Values().Raw()))(t)}))(t)
			record.Tokens.JWT = sha256.Sum256(token)
			records := [][]byte{must(record.Marshal())(t)}
			b := baseList
			l = registry.StatusList{URI: l.URI, Token: token, Record: records[0], Size: 1, Base: &b}
			e.Root, e.Signer = statuslist.EpochRoot(records), o.url()
			e.Base = registry.EpochBase{Sequence: base.Sequence, IssuedAt: base.IssuedAt, Root: base.Root, Signer: base.Signer}
			w.facts.epochs[w.agency.did], w.facts.lists[w.agency.uri] = e, l
		})
	}
	stapled := func() []byte {
		t.Helper()
		w.shop.alter(evidenceAsked(72 * time.Hour))
		if sent := must(w.show())(t); !sent.Stapled {
			t.Fatal("no Evidence was sent")
		}
		_, answers := w.shop.heard()
		return answers[len(answers)-1].Evidence
	}
	check := func(changed bool) {
		t.Helper()
		if err := w.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := w.facts.lists[w.agency.uri]
		got := stapled()
		found := false
		for n := range received.Copies { // whichever copy was shown
			at := uint64(w.indexAt(t, id, n))
			want := evidence.Status{Record: l.Record, Index: l.Index, Size: l.Size, Path: l.Path, Chunk: must(w.agency.list.Values().CutChunk(at))(t),
				Base: &evidence.Status{Record: baseList.Record, Index: baseList.Index, Size: baseList.Size, Path: baseList.Path}}
			if changed {
				want.Base.Chunk = must(baseValues.CutChunk(at))(t)
			}
			found = found || bytes.Equal(got, must(evidence.Attach(someEvidence(), want))(t))
		}
		if !found {
			t.Fatal("the stapled part is not the operator's chunk with the issuer's")
		}
	}
	redate(o.signer)
	check(false)
	if err := w.agency.list.Set(8000, statuslist.Revoked); err != nil {
		t.Fatal(err)
	}
	redate(o.signer)
	check(true)
	for name, bend := range map[string]func(){
		"an entry gets better": func() { must(0, w.agency.list.Set(index+1, statuslist.Valid))(t); redate(o.signer) },
		"by the issuer's key":  func() { redate(w.agency.signer) },
		"the issuer's list is not beside it": func() {
			redate(o.signer)
			w.facts.change(func() { l := w.facts.lists[w.agency.uri]; l.Base = nil; w.facts.lists[w.agency.uri] = l })
		},
		"nobody named it": func() {
			redate(o.signer)
			w.facts.change(func() {
				a := w.facts.accreditation[string(w.agency.did)+residentID]
				a.Operator = ""
				w.facts.accreditation[string(w.agency.did)+residentID] = a
			})
		},
	} {
		accr := w.facts.accreditation[string(w.agency.did)+residentID]
		before := w.rows()
		bend()
		if err := w.Refresh(t.Context()); err == nil || w.rows() != before {
			t.Errorf("%s: %v", name, err)
		} else if name == "an entry gets better" && !errors.Is(err, statuslist.ErrImproved) {
			t.Errorf("%s: %v", name, err)
		}
		must(0, w.agency.list.Set(index+1, statuslist.Suspended))(t)
		w.facts.change(func() { w.facts.accreditation[string(w.agency.did)+residentID] = accr })
	}
}
