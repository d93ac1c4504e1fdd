package chain

import (
	"strings"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
)

// Bounds of a status epoch in time, seconds. A header may lag the clock by two heartbeats (DESIGN: the gateway's rule).
const (
	epochAhead   = 120
	epochBehind  = 600
	epochHorizon = 45 * 24 * 3600 // furthest next_update
)

// governed is an operation outside of a DID's own history.
func (d *deciding) governed() error {
	if d.op.DID != "" {
		fact, err := d.DID(d.op.DID)
		if err != nil {
			return err
		}
		if fact == nil {
			return registry.Refuse(registry.CodeNotFound, "no such identifier")
		}
		if fact.Deactivated != 0 {
			return registry.Refuse(registry.CodeDeactivated, "the identifier is deactivated")
		}
	}
	switch b := d.op.Body.(type) {
	case *registry.AccreditBody:
		return d.accredit(b)
	case *registry.SuspendBody:
		return d.change(b.Type, b.N, func(f *registry.AccreditationFact) bool {
			was := f.Suspended && f.Lapses == 0
			f.Suspended, f.Lapses = true, 0 // confirms an emergency suspension
			return !was
		})
	case *registry.ResumeBody:
		return d.change(b.Type, b.N, func(f *registry.AccreditationFact) bool {
			was := f.Suspended
			f.Suspended, f.Lapses = false, 0
			return was
		})
	case *registry.EndBody:
		return d.change(b.Type, b.N, func(f *registry.AccreditationFact) bool {
			f.Until = b.Until
			return b.Until > f.From
		})
	case *registry.RegisterBody:
		return d.register(b)
	case *registry.TypeDigestBody:
		return d.typeDigest(b)
	case *registry.EpochBody:
		return d.epoch(b)
	case *registry.AnchorBody:
		return d.anchor(b)
	case *registry.ProposeBody:
		return d.propose(b)
	case *registry.VoteBody:
		return d.vote(b)
	case *registry.MemberAddBody:
		return d.addMember(b)
	case *registry.MemberRemoveBody:
		return d.removeMember(b)
	case *registry.MemberKeysBody:
		return d.changeKeys(b)
	case *registry.ValidatorBody:
		return d.setValidator(b)
	case *registry.ThresholdBody:
		return d.setThreshold(b)
	case *registry.ParamsBody:
		return d.setParams(b)
	case *registry.UpgradeBody:
		return d.upgrade(b)
	case *registry.EmergencyBody:
		return d.suspendAtOnce(b)
	case *registry.RoundOpenBody:
		return d.openRound(b)
	case *registry.RoundCloseBody:
		return d.closeRound(b)
	case *registry.RoundPruneBody:
		return d.pruneRound(b)
	case *registry.ClaimBody:
		return d.claim(b)
	}
	return registry.Refuse(registry.CodeMalformed, "unknown kind")
}

// follows checks that the operation is the next one of a history whose newest fact has seq and head.
func (d *deciding) follows(exists bool, seq uint64, head [32]byte) error {
	if !exists && d.op.Seq == 0 {
		return nil
	}
	if !exists || d.op.Seq != seq+1 || d.op.Prev.Digest() != head {
		return registry.Refuse(registry.CodeVersionConflict, "not the next operation of this history")
	}
	return nil
}

func (d *deciding) accredit(b *registry.AccreditBody) error {
	family := registry.AccreditationFamily(d.op.DID, b.Type, b.N)
	old, _, err := readFact[registry.AccreditationFact](d.w, family)
	if err != nil {
		return err
	}
	f := registry.AccreditationFact{Basis: b.Basis, Roots: b.Roots, Host: b.Host, From: b.From, Until: b.Until, Operator: b.Operator}
	if old != nil {
		f.Seq, f.Head, f.Suspended, f.Lapses = old.Seq, old.Head, old.Suspended, old.Lapses
	}
	if err := d.follows(old != nil, f.Seq, f.Head); err != nil {
		return err
	}
	if old == nil && b.N > 1 {
		before, err := d.w.get(registry.AccreditationFamily(d.op.DID, b.Type, b.N-1).Latest())
		if err != nil {
			return err
		}
		if before == nil {
			return registry.Refuse(registry.CodeVersionConflict, "accreditations are numbered without gaps")
		}
	}
	if b.Host != "" && !did.AllowedURI(b.Host, d.params.Development) {
		return registry.Refuse(registry.CodeNotAllowed, "status host must be https")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	f.Seq, f.Head = d.op.Seq, d.op.Hash.Digest()
	d.w.fact(family, f)
	return nil
}

func (d *deciding) change(vct string, n uint64, f func(*registry.AccreditationFact) (changed bool)) error {
	family := registry.AccreditationFamily(d.op.DID, vct, n)
	fact, _, err := readFact[registry.AccreditationFact](d.w, family)
	if err != nil {
		return err
	}
	if fact == nil {
		return registry.Refuse(registry.CodeNotFound, "no such accreditation")
	}
	if err := d.follows(true, fact.Seq, fact.Head); err != nil {
		return err
	}
	if !f(fact) {
		return registry.Refuse(registry.CodeNotAllowed, "the accreditation is not in a state for this")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	fact.Seq, fact.Head = d.op.Seq, d.op.Hash.Digest()
	d.w.fact(family, *fact)
	return nil
}

func (d *deciding) register(b *registry.RegisterBody) error {
	family := registry.RegistrationFamily(d.op.DID, b.Purpose)
	old, _, err := readFact[registry.RegistrationFact](d.w, family)
	if err != nil {
		return err
	}
	if old == nil {
		old = &registry.RegistrationFact{}
		err = d.follows(false, 0, [32]byte{})
	} else {
		err = d.follows(true, old.Seq, old.Head)
	}
	if err != nil {
		return err
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	d.w.fact(family, registry.RegistrationFact{
		Seq: d.op.Seq, Head: d.op.Hash.Digest(), Name: b.Name, Text: b.Text, Claims: b.Claims, Basis: b.Basis,
		Retention: b.Retention, From: b.From, Until: b.Until,
	})
	return nil
}

func (d *deciding) typeDigest(b *registry.TypeDigestBody) error {
	family := registry.TypeFamily(b.Type)
	old, _, err := readFact[registry.TypeFact](d.w, family)
	if err != nil {
		return err
	}
	var seq uint64
	var head [32]byte
	if old != nil {
		seq, head = old.Seq, old.Head
	}
	if err := d.follows(old != nil, seq, head); err != nil {
		return err
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	d.w.fact(family, registry.TypeFact{Seq: d.op.Seq, Head: d.op.Hash.Digest(), Digest: b.Digest})
	return nil
}

// epoch: the number only grows, and not faster than the genesis allows.
func (d *deciding) epoch(b *registry.EpochBody) error {
	family := registry.StatusFamily(d.op.DID)
	old, _, err := readFact[registry.StatusFact](d.w, family)
	if err != nil {
		return err
	}
	if old != nil {
		if d.op.Seq <= old.Sequence {
			return registry.Refuse(registry.CodeVersionConflict, "the epoch's number does not grow")
		}
		last := old.IssuedAt
		if old.Base != nil && b.Via == nil {
			last = old.Base.IssuedAt // its operator does not hold an issuer up
		}
		if b.IssuedAt <= old.IssuedAt || b.IssuedAt-last < d.params.EpochInterval {
			return registry.Refuse(registry.CodeTooSoon, "too soon after the epoch before")
		}
	}
	if b.IssuedAt > d.time+epochAhead || b.IssuedAt < d.time-epochBehind || b.NextUpdate > b.IssuedAt+epochHorizon {
		return registry.Refuse(registry.CodeBadTime, "iat or next_update is out of bounds")
	}
	fact := registry.StatusFact{Sequence: d.op.Seq, IssuedAt: b.IssuedAt, NextUpdate: b.NextUpdate, Root: b.Root, Operation: d.op.Hash.Digest()}
	who, use := d.op.DID, registry.UseAssertion
	if b.Via != nil {
		if who, err = d.operator(b.Via); err != nil {
			return err
		}
		use = registry.UseStatus
		if fact.Base, err = d.base(old); err != nil {
			return err
		}
	}
	signer, err := d.byKeyOf(who, use)
	if err != nil {
		return err
	}
	fact.Signer = signer
	d.w.fact(family, fact)
	return nil
}

// base is what an operator's epoch, the next one after old, is compared with: the issuer's own newest. An operator takes the very
// next number only, so that it cannot use the issuer's up.
func (d *deciding) base(old *registry.StatusFact) (*registry.StatusBase, error) {
	if old == nil {
		return nil, registry.Refuse(registry.CodeNotAllowed, "the issuer has no epoch to go on from")
	}
	if d.op.Seq != old.Sequence+1 {
		return nil, registry.Refuse(registry.CodeVersionConflict, "an operator takes the next number")
	}
	if old.Base != nil {
		return old.Base, nil
	}
	_, kid, err := registry.ParseDIDURL(old.Signer)
	if err != nil {
		return nil, err
	}
	return &registry.StatusBase{Sequence: old.Sequence, IssuedAt: old.IssuedAt, Root: old.Root, KeyID: kid}, nil
}

// operator is the second status operator that a living accreditation names.
func (d *deciding) operator(ref *registry.AccreditationRef) (registry.DID, error) {
	fact, err := d.inForce(ref)
	if err != nil {
		return "", err
	}
	if fact == nil || fact.Operator == "" {
		return "", registry.Refuse(registry.CodeNotAllowed, "no accreditation in force names an operator")
	}
	return fact.Operator, nil
}

// inForce is an accreditation of the operation's DID that covers this block; nil when it does not.
func (d *deciding) inForce(ref *registry.AccreditationRef) (*registry.AccreditationFact, error) {
	fact, _, err := readFact[registry.AccreditationFact](d.w, registry.AccreditationFamily(d.op.DID, ref.Type, ref.N))
	if err != nil || fact == nil || fact.SuspendedAt(d.time) || d.time < fact.From || (fact.Until != 0 && d.time >= fact.Until) {
		return nil, err
	}
	return fact, nil
}

func (d *deciding) anchor(b *registry.AnchorBody) error {
	key := registry.AnchorKey(b.Root)
	old, err := d.w.get(key)
	if err != nil {
		return err
	}
	if old != nil {
		return registry.Refuse(registry.CodeExists, "this root is anchored")
	}
	if _, err := d.byKeyOf(d.op.DID, registry.UseAssertion); err != nil {
		return err
	}
	d.w.plain(key, registry.AnchorFact{ID: d.op.DID.ID(), Height: d.height})
	return nil
}

// byKeyOf checks the signature of a verification key in force of a DID, for a use, and returns the key's DID URL.
func (d *deciding) byKeyOf(who registry.DID, use registry.KeyUse) (string, error) {
	for i := range d.op.Signatures {
		role := d.op.Signatures[i].Role
		kid, ok := strings.CutPrefix(role, string(who)+"#")
		if !ok {
			continue
		}
		if !registry.ValidFragment(kid) {
			return "", registry.Refuse(registry.CodeMalformed, "a signer's name is malformed")
		}
		key, err := d.Key(who, kid)
		if err != nil {
			return "", err
		}
		if key == nil || key.Use != use || key.Retired != 0 || key.CompromisedFrom != 0 || d.time < key.HeldUntil {
			return "", registry.Refuse(registry.CodeNotAllowed, "signed by a key that may not do this")
		}
		return role, d.By(role, key.Key)
	}
	return "", registry.Refuse(registry.CodeBadSignature, "a required signature is missing")
}
