package evidence

import (
	"context"
	"errors"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Outcome is what became of an operation. Errors: registry.ErrNotFound, registry.ErrUnavailable.
func (f *Facts) Outcome(operation registry.Hash) (registry.Outcome, error) {
	o, err := registry.ReadOutcome(operation, f.tree.get)
	if err != nil {
		return registry.Outcome{}, err
	}
	return registry.Outcome{Hash: operation[:], Height: o.Height, Code: string(o.Code)}, nil
}

// Anchor is when a root was anchored, and by whom. Errors: registry.ErrNotFound, registry.ErrUnavailable.
func (f *Facts) Anchor(root [32]byte) (by registry.DID, at time.Time, err error) {
	var a registry.AnchorFact
	if err := f.plain(registry.AnchorKey(root), &a); err != nil {
		return "", time.Time{}, err
	}
	at, err = f.TimeOf(a.Height)
	return registry.DID("did:dojang:" + f.network + ":" + a.ID), at, err
}

// Claimed reports whether a tag was claimed in a round. Error: registry.ErrUnavailable.
func (f *Facts) Claimed(issuer registry.DID, ref registry.RoundRef, tag [32]byte) (bool, error) {
	_, err := f.tree.get(registry.ClaimKey(issuer, ref, tag))
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Round is a round as it stands, and the tree over its tags. Errors: registry.ErrNotFound, registry.ErrUnavailable.
func (f *Facts) Round(issuer registry.DID, ref registry.RoundRef) (registry.RoundFact, registry.RoundTree, error) {
	var tree registry.RoundTree
	fact, _, err := factAt[registry.RoundFact](f, registry.RoundFamily(issuer, ref), time.Time{})
	if err == nil {
		err = f.plain(registry.RoundTreeKey(issuer, ref), &tree)
	}
	if err != nil {
		return registry.RoundFact{}, registry.RoundTree{}, err
	}
	return *fact, tree, nil
}

func (f *Facts) plain(key []byte, v any) error {
	b, err := f.tree.get(key)
	if err != nil {
		return err
	}
	return registry.Decode(b, v)
}

// Key implements registry.Resolver: the whole interval as known at the head, whatever at is, because a compromise
// declared later counts for what was signed before; ErrNotFound when the key was not active yet at that moment.
func (f *Facts) Key(_ context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	if err := f.mine(did); err != nil {
		return registry.Key{}, registry.Checked{}, err
	}
	key, err := f.key(did, id, time.Time{})
	if err != nil {
		return f.no(err)
	}
	if !at.IsZero() && at.Before(key.ActiveFrom) {
		return f.no(registry.ErrNotFound)
	}
	return key, f.head, nil
}

// key is the whole interval as known at a moment; the zero time is the head's.
func (f *Facts) key(did registry.DID, id string, known time.Time) (registry.Key, error) {
	fact, _, err := factAt[registry.KeyFact](f, registry.KeyFamily(did, id), known)
	if err != nil {
		return registry.Key{}, err
	}
	if known.IsZero() {
		known = f.head.KnownAt
	}
	key := registry.Key{DID: did, ID: id, Use: fact.Use}
	if key.ActiveFrom, err = f.TimeOf(fact.Active); err != nil {
		return registry.Key{}, err
	}
	if fact.Retired != 0 {
		if key.RetiredAt, err = f.TimeOf(fact.Retired); err != nil {
			return registry.Key{}, err
		}
	}
	if fact.CompromisedFrom != 0 {
		key.CompromisedFrom = time.Unix(fact.CompromisedFrom, 0).UTC()
	}
	if fact.Held != 0 {
		if key.SuspendedFrom, err = f.TimeOf(fact.Held); err != nil {
			return registry.Key{}, err
		}
		key.SuspendedUntil = time.Unix(fact.HeldUntil, 0).UTC()
		// While it holds it is a compromise for all who ask, until the members decide or it lapses.
		if known.Before(key.SuspendedUntil) && (key.CompromisedFrom.IsZero() || key.SuspendedFrom.Before(key.CompromisedFrom)) {
			key.CompromisedFrom = key.SuspendedFrom
		}
	}
	key.JWK, err = fact.Key.JWK()
	return key, err
}

func (f *Facts) no(err error) (registry.Key, registry.Checked, error) {
	return registry.Key{}, f.checked(err), err
}

// checked: also a proven absence is known as of a header.
func (f *Facts) checked(err error) registry.Checked {
	if err == nil || errors.Is(err, registry.ErrNotFound) {
		return f.head
	}
	return registry.Checked{}
}

// Accreditation implements registry.Resolver: the accreditation that covers that moment, as it stood then, but for its
// interval: an end that was decided later counts from the day that it names. One that is not suspended goes before one that is. The zero time asks for the latest state of the one that covers the head's time, or
// of the last one. ErrNotFound when none covers the moment and all of them are shown.
func (f *Facts) Accreditation(_ context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	var found *registry.Accreditation
	moment := at
	if at.IsZero() {
		moment = f.head.KnownAt
	}
	err := f.mine(did)
	for n := uint64(1); err == nil && (found == nil || !found.InForce(moment)); n++ {
		var a registry.Accreditation
		a, err = f.accreditation(did, vct, n, Moment{At: at})
		if err != nil {
			var later bool
			if later, err = f.goesOn(did, vct, n, err); later {
				continue
			}
			break
		}
		if covers(a, moment) || (at.IsZero() && (found == nil || !covers(*found, moment))) {
			found = &a
		}
	}
	if found != nil && (err == nil || errors.Is(err, registry.ErrNotFound) || found.InForce(moment)) {
		return *found, f.head, nil
	}
	if err == nil {
		err = registry.ErrNotFound
	}
	return registry.Accreditation{}, f.checked(err), err
}

// goesOn: accreditation n, not known at the moment asked for, may exist since later; then n+1 may still have been there.
func (f *Facts) goesOn(did registry.DID, vct string, n uint64, err error) (bool, error) {
	if !errors.Is(err, registry.ErrNotFound) {
		return false, err
	}
	if _, e := f.tree.get(registry.AccreditationFamily(did, vct, n).Latest()); e == nil {
		return true, nil
	}
	return false, err
}

// accreditation n as it stood at m.At, its interval as known at m.Known; zero: the latest.
func (f *Facts) accreditation(did registry.DID, vct string, n uint64, m Moment) (registry.Accreditation, error) {
	family := registry.AccreditationFamily(did, vct, n)
	fact, _, err := factAt[registry.AccreditationFact](f, family, m.At)
	if err != nil {
		return registry.Accreditation{}, err
	}
	known, _, err := factAt[registry.AccreditationFact](f, family, m.Known)
	if err != nil {
		return registry.Accreditation{}, err
	}
	moment := m.At
	if moment.IsZero() {
		moment = f.head.KnownAt
	}
	a := registry.Accreditation{
		DID: did, Type: vct, LegalBasis: fact.Basis, StatusHost: fact.Host, From: seconds(known.From), Until: seconds(known.Until),
		Suspended: fact.SuspendedAt(moment.Unix()), Operator: fact.Operator,
	}
	for i := range fact.Roots {
		a.Roots = append(a.Roots, fact.Roots[i][:])
	}
	return a, nil
}

func covers(a registry.Accreditation, t time.Time) bool {
	a.Suspended = false
	return a.InForce(t)
}

// seconds is a time of governance; 0 is open.
func seconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// Registration implements registry.Resolver: as it stood at that moment, if that lies in its interval as known now. The zero time
// asks for the latest state, at the head's time.
func (f *Facts) Registration(_ context.Context, did registry.DID, purpose string, at time.Time) (registry.Registration, registry.Checked, error) {
	err := f.mine(did)
	family := registry.RegistrationFamily(did, purpose)
	var fact, known *registry.RegistrationFact
	if err == nil {
		fact, _, err = factAt[registry.RegistrationFact](f, family, at)
	}
	if err == nil {
		known, _, err = factAt[registry.RegistrationFact](f, family, time.Time{})
	}
	if err != nil {
		return registry.Registration{}, f.checked(err), err
	}
	r := registrationOf(did, purpose, fact)
	r.From, r.Until = seconds(known.From), seconds(known.Until)
	moment := at
	if at.IsZero() {
		moment = f.head.KnownAt
	}
	if !within(moment, r.From, r.Until) {
		return registry.Registration{}, f.head, registry.ErrNotFound
	}
	return r, f.head, nil
}

func registrationOf(did registry.DID, purpose string, fact *registry.RegistrationFact) registry.Registration {
	return registry.Registration{
		DID: did, Purpose: purpose, Name: fact.Name, PurposeText: fact.Text, Claims: fact.Claims, LegalBasis: fact.Basis,
		RetentionDays: int(fact.Retention), From: seconds(fact.From), Until: seconds(fact.Until),
	}
}

// within an interval that may be open at its end.
func within(t, from, until time.Time) bool {
	return !t.Before(from) && (until.IsZero() || t.Before(until))
}

// TypeDigest implements registry.Resolver.
func (f *Facts) TypeDigest(_ context.Context, vct string) ([32]byte, registry.Checked, error) {
	fact, _, err := factAt[registry.TypeFact](f, registry.TypeFamily(vct), time.Time{})
	if err != nil {
		return [32]byte{}, f.checked(err), err
	}
	return fact.Digest, f.head, nil
}

// StatusEpoch implements registry.Resolver.
func (f *Facts) StatusEpoch(_ context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	err := f.mine(issuer)
	var fact *registry.StatusFact
	if err == nil {
		fact, _, err = factAt[registry.StatusFact](f, registry.StatusFamily(issuer), time.Time{})
	}
	if err != nil {
		return registry.StatusEpoch{}, f.checked(err), err
	}
	epoch, err := fact.Epoch(issuer)
	return epoch, f.checked(err), err
}
