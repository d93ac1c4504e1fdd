package verifiertest

import (
	"crypto/sha256"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// An Operator is the second status operator of one issuer: it goes on from the issuer's own newest epoch.
type Operator struct {
	DID   registry.DID
	KeyID string
	Key   keys.Signer
	Chain [][]byte
	List  *statuslist.Publisher // its copy of the issuer's list

	w        *World
	issuer   *Issuer
	base     registry.StatusEpoch
	baseList registry.StatusList
	values   statuslist.Values // of the base
}

// Appoint names an operator in the issuer's accreditation; its certificate is under the issuer's root.
func (w *World) Appoint(i *Issuer, name string) *Operator {
	o := &Operator{w: w, issuer: i, DID: did(name), KeyID: "status-1", Key: must(keys.Generate(keys.ES256))}
	o.Chain = [][]byte{w.leaf(i.CA, LeafOf{DID: o.DID, Key: o.Key, EKU: keys.EKUStatusSigner})}
	w.Registry.PutKey(registry.Key{DID: o.DID, ID: o.KeyID, Use: registry.UseStatus, JWK: o.Key.Public().JWK(), ActiveFrom: w.Clock.Now().Add(-time.Hour)})
	w.Registry.change(func() {
		a := w.Registry.accrs[string(i.DID)+" "+i.VCT]
		a.Operator = o.DID
		w.Registry.accrs[string(i.DID)+" "+i.VCT] = a
	})
	o.Takeover()
	return o
}

// Takeover makes the issuer's present list and epoch the base.
func (o *Operator) Takeover() {
	o.w.Registry.change(func() {
		o.base, o.baseList = o.w.Registry.epochs[o.issuer.DID], o.w.Registry.lists[o.issuer.URI()]
	})
	o.values = o.issuer.List.Values()
	o.List = must(statuslist.NewPublisher(o.values))
}

// Publish signs the operator's copy and anchors it in the next epoch, with the issuer's own beside it.
func (o *Operator) Publish() registry.StatusList {
	snap := must(o.List.Snapshot())
	now := o.w.Clock.Now()
	return o.PublishAs(must(statuslist.SignJWT(o.Key, keys.Header{Kid: o.DID.URL(o.KeyID), X5C: o.Chain}, statuslist.Claims{
		URI: o.issuer.URI(), IssuedAt: now, ExpiresAt: now.AddDate(0, 2, 0), TTL: time.Hour, Bits: snap.Bits, Compressed: snap.Compressed,
	})))
}

// PublishAs anchors a token as it is.
func (o *Operator) PublishAs(token []byte) registry.StatusList {
	snap := must(o.List.Snapshot())
	now := o.w.Clock.Now()
	record := must(statuslist.Record{
		URI: o.issuer.URI(), Bits: snap.Bits, Length: snap.Length, Root: snap.Root, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)},
	}.Marshal())
	o.issuer.sequence++
	base := o.baseList
	if snap.Root == o.values.Root() {
		base.Token = []byte{}
	}
	list := registry.StatusList{URI: o.issuer.URI(), Token: token, Record: record, Path: must(statuslist.ProveRecord([][]byte{record}, 0)), Size: 1, Base: &base}
	o.w.Registry.PutEpoch(registry.StatusEpoch{
		Issuer: o.issuer.DID, Sequence: o.issuer.sequence, IssuedAt: now, NextUpdate: now.Add(24 * time.Hour), Root: statuslist.EpochRoot([][]byte{record}),
		Signer: o.DID.URL(o.KeyID),
		Base:   registry.EpochBase{Sequence: o.base.Sequence, IssuedAt: o.base.IssuedAt, Root: o.base.Root, Signer: o.base.Signer},
	}, list)
	return list
}

// Staple is the status part that a wallet cuts out of both lists.
func (o *Operator) Staple(index uint64) *evidence.Status {
	o.w.Registry.mu.Lock()
	l := o.w.Registry.lists[o.issuer.URI()]
	o.w.Registry.mu.Unlock()
	s := &evidence.Status{Record: l.Record, Index: l.Index, Size: l.Size, Path: l.Path, Chunk: must(o.List.Values().CutChunk(index))}
	b := l.Base
	s.Base = &evidence.Status{Record: b.Record, Index: b.Index, Size: b.Size, Path: b.Path}
	if len(b.Token) > 0 {
		s.Base.Chunk = must(o.values.CutChunk(index))
	}
	return s
}
