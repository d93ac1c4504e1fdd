package evidence

import (
	"errors"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Moment is the two times of a question about the past: was it in force At, as Known then? What is *known* is what the chain
// had recorded by the header of that time; decisions may say what holds from an earlier or a later day on. Without At, At is
// Known; without Known, all that the head knows counts. Fractions of seconds do not count.
//
// An Evidence answers when it was asked for with the same moments (chain.Query.At and Known), whatever was pruned since: leaves
// and the headers that date them are never dropped.
type Moment struct {
	At, Known time.Time
}

// times of a moment; known is zero for the head. Error: registry.ErrUnavailable when the head is older than Known.
func (f *Facts) times(m Moment) (at, known time.Time, err error) {
	at, known = m.At.Truncate(time.Second), m.Known.Truncate(time.Second)
	switch {
	case known.After(f.head.KnownAt):
		return at, known, registry.ErrUnavailable
	case at.IsZero() && known.IsZero():
		at = f.head.KnownAt
	case at.IsZero():
		at = known
	}
	return at, known, nil
}

// earlier of what was known then, and what was known at the moment itself; zero: the head.
func (f *Facts) earlier(at, known time.Time) time.Time {
	switch {
	case known.IsZero() && !at.Before(f.head.KnownAt):
		return time.Time{}
	case known.IsZero() || at.Before(known):
		return at
	}
	return known
}

// KeyAt is a key with its interval as known then, and whether it could sign at that moment.
// Errors: registry.ErrNotFound (no such key was known), registry.ErrUnavailable (not in here).
func (f *Facts) KeyAt(did registry.DID, id string, m Moment) (key registry.Key, inForce bool, err error) {
	at, known, err := f.times(m)
	if err == nil {
		err = f.mine(did)
	}
	if err == nil {
		key, err = f.key(did, id, known)
	}
	return key, err == nil && key.InForce(at), err
}

// AccreditationAt is the accreditation that covers that moment, or the last one, as known then. A suspension counts from the
// time on at which the chain has it: what was known later suspends nothing before. Errors: as KeyAt.
func (f *Facts) AccreditationAt(did registry.DID, vct string, m Moment) (found registry.Accreditation, inForce bool, err error) {
	at, known, err := f.times(m)
	if err == nil {
		err = f.mine(did)
	}
	if err != nil {
		return found, false, err
	}
	some := false
	for n := uint64(1); ; n++ {
		a, err := f.accreditation(did, vct, n, Moment{At: known, Known: known})
		later, err := f.unlessLater(did, vct, n, err)
		if later {
			continue // not known then, n+1 may have been
		}
		if errors.Is(err, registry.ErrNotFound) && some {
			return found, false, nil
		}
		if err != nil {
			return registry.Accreditation{}, false, err
		}
		if a.Suspended, err = f.suspended(did, vct, n, Moment{At: at, Known: known}); err != nil {
			return registry.Accreditation{}, false, err
		}
		if a.InForce(at) {
			return a, true, nil
		}
		if !some || !covers(found, at) {
			found, some = a, true
		}
	}
}

// unlessLater turns "not known then" into "go on" when the accreditation exists since later.
func (f *Facts) unlessLater(did registry.DID, vct string, n uint64, err error) (bool, error) {
	if err == nil {
		return false, nil
	}
	return f.goesOn(did, vct, n, err)
}

// suspended at the moment itself, as far as it was known then.
func (f *Facts) suspended(did registry.DID, vct string, n uint64, m Moment) (bool, error) {
	fact, _, err := factAt[registry.AccreditationFact](f, registry.AccreditationFamily(did, vct, n), f.earlier(m.At, m.Known))
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil // accredited afterwards, for a time before
	}
	if err != nil {
		return false, err
	}
	return fact.SuspendedAt(m.At.Unix()), nil
}

// RegistrationAt is a verifier's registration as known then, and whether it covers the moment. Errors: as KeyAt.
func (f *Facts) RegistrationAt(did registry.DID, purpose string, m Moment) (r registry.Registration, inForce bool, err error) {
	at, known, err := f.times(m)
	if err == nil {
		err = f.mine(did)
	}
	if err != nil {
		return r, false, err
	}
	fact, _, err := factAt[registry.RegistrationFact](f, registry.RegistrationFamily(did, purpose), known)
	if err != nil {
		return r, false, err
	}
	r = registrationOf(did, purpose, fact)
	return r, within(at, r.From, r.Until), nil
}

// StatusEpochAt is the status epoch that stood at that moment, as far as it was known then: an entry of a list was in force
// when the list hashes to this epoch (internal/statuslist). Errors: as KeyAt.
func (f *Facts) StatusEpochAt(issuer registry.DID, m Moment) (registry.StatusEpoch, error) {
	at, known, err := f.times(m)
	if err == nil {
		err = f.mine(issuer)
	}
	if err != nil {
		return registry.StatusEpoch{}, err
	}
	fact, _, err := factAt[registry.StatusFact](f, registry.StatusFamily(issuer), f.earlier(at, known))
	if err != nil {
		return registry.StatusEpoch{}, err
	}
	return fact.Epoch(issuer)
}

// Headers that this Evidence proves by the header tree, without any validator key; ascending, the head last.
func (f *Facts) Headers() []Head {
	out := make([]Head, 0, len(f.points))
	for i := range f.points {
		p := &f.points[i]
		if p.nodes != nil {
			out = append(out, Head{Network: f.network, Height: p.height, Hash: p.hash(), Time: p.time})
		}
	}
	return append(out, Head{Network: f.network, Height: f.head.Height, Hash: f.hash, Time: f.head.KnownAt})
}
