package chain

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/registry"
)

// addMember adds a member; a threshold that is no majority of the new number rises with it, and so does that of emergencies.
func (d *deciding) addMember(b *registry.MemberAddBody) error {
	family := registry.MemberFamily(b.ID)
	old, err := d.w.get(family.Latest())
	if err != nil {
		return err
	}
	if old != nil {
		return registry.Refuse(registry.CodeExists, "a member of that id exists or existed")
	}
	if err := d.unused(b.Key, b.Sponsor); err != nil {
		return err
	}
	if d.params.Members >= 100 {
		return registry.Refuse(registry.CodeLimit, "too many members")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	p := d.params
	p.Members++
	p.Threshold = max(p.Threshold, registry.Majority(p.Members))
	if p.Emergency != 0 && !p.Development {
		p.Emergency = max(p.Emergency, leastEmergency(p.Members))
	}
	d.w.fact(registry.ParamsFamily(), p)
	d.w.fact(family, registry.MemberFact{Name: b.Name, Key: b.Key})
	d.w.plain(registry.SponsorKey(b.ID), registry.SponsorFact{Key: b.Sponsor})
	d.w.plain(registry.GovernanceKeyKey(b.Key), b.ID)
	d.w.plain(registry.GovernanceKeyKey(b.Sponsor), b.ID)
	return nil
}

// unused: no member has or had one of the keys.
func (d *deciding) unused(keys ...registry.PublicKey) error {
	for _, key := range keys {
		used, err := d.w.get(registry.GovernanceKeyKey(key))
		if err != nil {
			return err
		}
		if used != nil {
			return registry.Refuse(registry.CodeExists, "a member has or had that key")
		}
	}
	return nil
}

// changeKeys gives a member new keys. Votes that it has cast stay; its gateway's nonces and quota go on.
func (d *deciding) changeKeys(b *registry.MemberKeysBody) error {
	member, err := d.member(b.ID)
	if err != nil {
		return err
	}
	if member == nil {
		return registry.Refuse(registry.CodeNotFound, "no such member")
	}
	sponsor, err := readPlain[registry.SponsorFact](d.w, registry.SponsorKey(b.ID))
	if err != nil || sponsor == nil {
		return errors.Join(err, errors.New("chain: a member without a gateway"))
	}
	var fresh []registry.PublicKey
	if b.Key != nil {
		member.Key, fresh = b.Key, append(fresh, b.Key)
	}
	if b.Sponsor != nil {
		sponsor.Key, fresh = b.Sponsor, append(fresh, b.Sponsor)
	}
	if err := d.unused(fresh...); err != nil {
		return err
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	d.w.fact(registry.MemberFamily(b.ID), *member)
	d.w.plain(registry.SponsorKey(b.ID), *sponsor)
	for _, key := range fresh {
		d.w.plain(registry.GovernanceKeyKey(key), b.ID)
	}
	return nil
}

// removeMember removes a member. The threshold stays, or becomes all that are left.
func (d *deciding) removeMember(b *registry.MemberRemoveBody) error {
	member, err := d.member(b.ID)
	if err != nil {
		return err
	}
	if member == nil {
		return registry.Refuse(registry.CodeNotFound, "no such member")
	}
	if d.params.Members == 1 {
		return registry.Refuse(registry.CodeNotAllowed, "the last member stays")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	p := d.params
	p.Members--
	p.Threshold = min(p.Threshold, p.Members)
	p.Emergency = min(p.Emergency, p.Threshold)
	d.w.fact(registry.ParamsFamily(), p)
	member.Removed = d.height
	d.w.fact(registry.MemberFamily(b.ID), *member)
	return nil
}

// setThreshold: never below a majority, never above the number of members.
func (d *deciding) setThreshold(b *registry.ThresholdBody) error {
	if b.K < registry.Majority(d.params.Members) || b.K > d.params.Members || b.K == d.params.Threshold {
		return registry.Refuse(registry.CodeNotAllowed, "not a threshold that these members may have")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	p := d.params
	p.Threshold = b.K
	p.Emergency = min(p.Emergency, p.Threshold)
	d.w.fact(registry.ParamsFamily(), p)
	return nil
}

// Bounds of the set of validators (DESIGN 4).
const (
	minValidators = 4
	maxValidators = 21
)

func (d *deciding) setValidator(b *registry.ValidatorBody) error {
	set, err := readValidators(d.w)
	if err != nil {
		return err
	}
	if len(set) == 0 {
		return registry.Refuse(registry.CodeNotAllowed, "this chain does not name its validators")
	}
	next := slices.Clone(set)
	i := slices.IndexFunc(next, func(v registry.ValidatorFact) bool { return v.Key == b.Key })
	v := registry.ValidatorFact{Key: b.Key, Power: b.Power, Operator: b.Operator, Site: b.Site}
	switch {
	case i < 0 && b.Power == 0:
		return registry.Refuse(registry.CodeNotFound, "no such validator")
	case i < 0:
		next = append(next, v)
	case b.Power == 0:
		next = slices.Delete(next, i, i+1)
	case next[i] == v:
		return registry.Refuse(registry.CodeExists, "nothing to change")
	default:
		next[i] = v
	}
	if err := d.allowedValidators(len(set), next); err != nil {
		return err
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	d.w.fact(registry.ValidatorsFamily(), registry.ValidatorsFact{Validators: inKeyOrder(next)})
	return nil
}

// allowedValidators: not too few, nobody and no site with a third, and two thirds of the old power stay in each block, so
// that readers can follow.
func (r *run) allowedValidators(was int, next []registry.ValidatorFact) error {
	switch {
	case r.params.Development:
		return registry.Refuse(registry.CodeNotAllowed, "a development network has one validator")
	case len(next) > maxValidators:
		return registry.Refuse(registry.CodeLimit, "too many validators")
	case len(next) < was && len(next) < minValidators:
		return registry.Refuse(registry.CodeNotAllowed, "too few validators would be left")
	}
	if len(next) >= minValidators && !spread(next) {
		return registry.Refuse(registry.CodeNotAllowed, "an operator or a site would have a third of the power")
	}
	before, err := readValidators(r.before)
	if err != nil {
		return err
	}
	var old, changed uint64
	for _, v := range before {
		old += v.Power
	}
	for _, u := range difference(before, next) {
		had := powerOf(before, u.Key)
		changed += max(had, u.Power) - min(had, u.Power)
	}
	if changed*3 > old {
		return registry.Refuse(registry.CodeTooSoon, "more than a third of the power would change in one block")
	}
	return nil
}

// spread: no operator and no site has a third of the power.
func spread(set []registry.ValidatorFact) bool {
	var total uint64
	operators, sites := map[string]uint64{}, map[string]uint64{}
	for _, v := range set {
		total += v.Power
		operators[named(v.Operator, v)] += v.Power
		sites[named(v.Site, v)] += v.Power
	}
	return !slices.ContainsFunc(set, func(v registry.ValidatorFact) bool {
		return operators[named(v.Operator, v)]*3 >= total || sites[named(v.Site, v)]*3 >= total
	})
}

// named: a founding validator whose operator or site nobody named counts for itself.
func named(name string, v registry.ValidatorFact) string {
	if name == "" {
		return "/" + string(v.Key[:])
	}
	return name
}

func powerOf(set []registry.ValidatorFact, key [32]byte) uint64 {
	for _, v := range set {
		if v.Key == key {
			return v.Power
		}
	}
	return 0
}

func readValidators(state reader) ([]registry.ValidatorFact, error) {
	fact, _, err := readFact[registry.ValidatorsFact](state, registry.ValidatorsFamily())
	if err != nil || fact == nil {
		return nil, err
	}
	return fact.Validators, nil
}

func inKeyOrder(set []registry.ValidatorFact) []registry.ValidatorFact {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b registry.ValidatorFact) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return set
}

// difference is what turns one set, by its powers, into another; in order of keys.
func difference(from, to []registry.ValidatorFact) []ValidatorUpdate {
	var out []ValidatorUpdate
	for _, v := range to {
		if powerOf(from, v.Key) != v.Power {
			out = append(out, ValidatorUpdate{Key: v.Key, Power: v.Power})
		}
	}
	for _, v := range from {
		if powerOf(to, v.Key) == 0 {
			out = append(out, ValidatorUpdate{Key: v.Key})
		}
	}
	slices.SortFunc(out, func(a, b ValidatorUpdate) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out
}

func (r *run) validatorUpdates() ([]ValidatorUpdate, error) {
	if _, changed := r.state.writes[string(registry.ValidatorsFamily().Latest())]; !changed {
		return nil, nil
	}
	before, err := readValidators(r.before)
	if err != nil {
		return nil, err
	}
	after, err := readValidators(r.state)
	return difference(before, after), err
}

// checkValidators of a genesis: the rules that later hold for every change of the set.
func checkValidators(set []registry.ValidatorFact) error {
	for i, v := range set {
		if v.Power == 0 || v.Power > 1<<40 || slices.ContainsFunc(set[:i], func(o registry.ValidatorFact) bool { return o.Key == v.Key }) {
			return fmt.Errorf("%w: validators", ErrGenesis)
		}
	}
	switch {
	case len(set) > maxValidators:
		return fmt.Errorf("%w: %d validators, at most %d", ErrGenesis, len(set), maxValidators)
	case len(set) >= minValidators && !spread(set):
		return fmt.Errorf("%w: an operator or a site has a third of the validators' power", ErrGenesis)
	}
	return nil
}

// suspendAtOnce is the emergency: fewer members than a decision needs stop a key or an accreditation for a while. Each
// only once: what goes on is decided by a proposal.
func (d *deciding) suspendAtOnce(b *registry.EmergencyBody) error {
	if d.params.Emergency == 0 {
		return registry.Refuse(registry.CodeNotAllowed, "this chain has no emergency suspension")
	}
	if b.At > d.time+epochAhead || b.At < d.time-24*3600 {
		return registry.Refuse(registry.CodeBadTime, "not signed just now")
	}
	if b.Key != "" {
		return d.holdKey(b)
	}
	family := registry.AccreditationFamily(d.op.DID, b.Type, b.N)
	fact, _, err := readFact[registry.AccreditationFact](d.w, family)
	if err != nil {
		return err
	}
	if fact == nil {
		return registry.Refuse(registry.CodeNotFound, "no such accreditation")
	}
	if fact.Suspended || fact.Lapses != 0 {
		return registry.Refuse(registry.CodeNotAllowed, "suspended, or was in an emergency on which nobody decided")
	}
	if err := d.signedBy(d.params.Emergency); err != nil {
		return err
	}
	fact.Suspended, fact.Lapses = true, d.time+d.params.EmergencyHold
	d.w.fact(family, *fact)
	return nil
}

func (d *deciding) holdKey(b *registry.EmergencyBody) error {
	key, err := d.Key(d.op.DID, b.Key)
	if err != nil {
		return err
	}
	if key == nil {
		return registry.Refuse(registry.CodeNotFound, "no such key")
	}
	if key.Held != 0 || key.Retired != 0 || key.CompromisedFrom != 0 {
		return registry.Refuse(registry.CodeNotAllowed, "the key is not in a state for this")
	}
	if err := d.signedBy(d.params.Emergency); err != nil {
		return err
	}
	key.Held, key.HeldUntil = d.height, d.time+d.params.EmergencyHold
	d.w.fact(registry.KeyFamily(d.op.DID, b.Key), *key)
	return nil
}
