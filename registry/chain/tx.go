package chain

import (
	"errors"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
)

// A run is the surroundings in which transactions are validated; CheckTx and Execute differ only in these.
type run struct {
	params registry.ParamsFact
	height uint64
	time   int64 // of the header of that height, seconds
	state  *overlay
	before reader // the state before the block
}

// loadParams takes the parameters as they are now: an operation before may have changed them.
func (r *run) loadParams(state reader) error {
	params, _, err := readFact[registry.ParamsFact](state, registry.ParamsFamily())
	if err == nil && params == nil {
		err = errors.New("chain: state without parameters")
	}
	if err == nil {
		r.params = *params
	}
	return err
}

// reload follows an operation that changes parameters.
func (r *run) reload(kind registry.Kind, state reader) error {
	switch kind {
	case registry.KindThreshold, registry.KindParams, registry.KindMemberAdd, registry.KindMemberRemove, registry.KindUpgrade:
		return r.loadParams(state)
	}
	return nil
}

// transaction validates one transaction and, if it is not refused as a whole, applies it to r.state.
// err is a fault of the store.
func (r *run) transaction(v *verdict) (Result, error) {
	if v.refuse != nil {
		return refused("", v.refuse)
	}
	if v.tx.ChainID != r.params.ChainID { // never changes
		return refused(v.tx.Sponsor, registry.Refuse(registry.CodeWrongNetwork, "made for another chain"))
	}
	if err := r.loadParams(r.state); err != nil {
		return Result{}, err
	}
	w := writer{overlay: r.state, height: r.height}
	if err := r.admit(v, &w); err != nil {
		return refused(v.tx.Sponsor, err)
	}
	res := Result{Code: registry.CodeOK, Sponsor: v.tx.Sponsor, Operations: make([]registry.Outcome, len(v.ops))}
	for i := range v.ops {
		outcome, err := r.operation(v.ops[i])
		if err != nil {
			return Result{}, err
		}
		res.Operations[i] = outcome
	}
	return res, nil
}

func refused(sponsor string, err error) (Result, error) {
	var no *registry.Refusal
	if !errors.As(err, &no) {
		return Result{}, err
	}
	return Result{Code: no.Code, Detail: no.Detail, Sponsor: sponsor}, nil
}

// admit checks sponsor, nonce, quota and signature, and books them.
func (r *run) admit(v *verdict, w *writer) error {
	sponsor, err := readPlain[registry.SponsorFact](r.state, registry.SponsorKey(v.tx.Sponsor))
	if err != nil {
		return err
	}
	member, _, err := readFact[registry.MemberFact](r.state, registry.MemberFamily(v.tx.Sponsor))
	if err != nil {
		return err
	}
	if sponsor == nil || member == nil || member.Removed != 0 {
		return registry.Refuse(registry.CodeNotASponsor, "the sponsor is not a member")
	}
	if err := useNonce(sponsor, v.tx.Nonce); err != nil {
		return err
	}
	window := r.height / max(r.params.QuotaBlocks, 1)
	if sponsor.Window != window {
		sponsor.Window, sponsor.Used = window, 0
	}
	sponsor.Used += uint64(len(v.ops))
	if r.params.QuotaOps != 0 && sponsor.Used > r.params.QuotaOps {
		return registry.Refuse(registry.CodeQuota, "the sponsor's quota is used up")
	}
	if err := v.verify(sponsor.Key); err != nil {
		return err
	}
	w.plain(registry.SponsorKey(v.tx.Sponsor), *sponsor)
	return w.err
}

// useNonce books a nonce: each once, within the window around the highest.
func useNonce(s *registry.SponsorFact, nonce uint64) error {
	const window = registry.NonceWindow
	switch {
	case nonce > s.Highest:
		ahead := nonce - s.Highest
		if ahead > window {
			return registry.Refuse(registry.CodeNonce, "nonce too far ahead")
		}
		shiftSeen(&s.Seen, int(ahead))
		s.Highest = nonce
		s.Seen[0] |= 1
		return nil
	case s.Highest-nonce >= window:
		return registry.Refuse(registry.CodeNonce, "nonce too old")
	}
	back := s.Highest - nonce
	if s.Seen[back/8]&(1<<(back%8)) != 0 {
		return registry.Refuse(registry.CodeNonce, "nonce used before")
	}
	s.Seen[back/8] |= 1 << (back % 8)
	return nil
}

// shiftSeen moves every bit n places up: what was i nonces below the highest is now i+n below.
func shiftSeen(seen *[registry.NonceWindow / 8]byte, n int) {
	bytes, bits := n/8, uint(n%8)
	for i := len(seen) - 1; i >= 0; i-- {
		var b byte
		if i-bytes >= 0 {
			b = seen[i-bytes] << bits
		}
		if bits > 0 && i-bytes-1 >= 0 {
			b |= seen[i-bytes-1] >> (8 - bits)
		}
		seen[i] = b
	}
}

// operation runs one operation and books its outcome. err is a fault of the store.
func (r *run) operation(p *parsed) (registry.Outcome, error) {
	if p.refuse != nil {
		// Without a payload there is no hash under which an outcome could stand.
		return outcomeOf(nil, r.height, p.refuse)
	}
	op := p.op
	before, err := earlier(op, r.state)
	if err != nil {
		return registry.Outcome{}, err
	}
	if before.Code == registry.CodeOK {
		return outcomeOf(op.Hash[:], before.Height, registry.Refuse(registry.CodeDuplicate, "executed before"))
	}
	begin := r.state.mark()
	w := &writer{overlay: r.state, height: r.height}
	no := r.decide(&deciding{run: r, parsed: p, op: op, w: w})
	if no == nil && w.err != nil {
		return registry.Outcome{}, w.err
	}
	if no != nil {
		r.state.takeBack(begin)
	} else if err := r.reload(op.Kind(), r.state); err != nil {
		return registry.Outcome{}, err
	}
	out, err := outcomeOf(op.Hash[:], r.height, no)
	if err != nil || !booked(op.Kind(), no) {
		return out, err
	}
	book := writer{overlay: r.state, height: r.height}
	book.plain(registry.OutcomeKey(op.Hash), registry.OutcomeFact{Height: r.height, Code: registry.Code(out.Code)})
	return out, book.err
}

// booked reports whether an outcome gets a leaf of its own. A create that succeeded is told by its DID, and a claim by its
// tag alone: no time of a person stands elsewhere.
func booked(kind registry.Kind, no error) bool {
	switch kind {
	case registry.KindNullifierClaim:
		return false
	case registry.KindCreate:
		return no != nil
	}
	return true
}

// earlier is the outcome that the operation had earlier, zero when it had none that counts: what failed may be tried again.
func earlier(op *registry.SignedOperation, state reader) (registry.OutcomeFact, error) {
	switch op.Kind() {
	case registry.KindNullifierClaim:
		return registry.OutcomeFact{}, nil
	case registry.KindCreate:
		fact, _, err := readFact[registry.DIDFact](state, registry.DIDFamily(op.ID()))
		if err != nil || fact == nil {
			return registry.OutcomeFact{}, err
		}
		return registry.OutcomeFact{Height: fact.Created, Code: registry.CodeOK}, nil
	}
	fact, err := readPlain[registry.OutcomeFact](state, registry.OutcomeKey(op.Hash))
	if err != nil || fact == nil {
		return registry.OutcomeFact{}, err
	}
	return *fact, nil
}

func outcomeOf(hash []byte, height uint64, err error) (registry.Outcome, error) {
	out := registry.Outcome{Hash: hash, Height: height, Code: string(registry.CodeOK)}
	if err == nil {
		return out, nil
	}
	var no *registry.Refusal
	if !errors.As(err, &no) {
		return registry.Outcome{}, err
	}
	out.Code, out.Detail = string(no.Code), no.Detail
	return out, nil
}

// deciding is one operation under decision. It implements did.State and did.Signatures.
type deciding struct {
	*run
	parsed *parsed
	op     *registry.SignedOperation
	w      *writer
	used   uint32 // bit i: a rule asked for signature i
	// approved: a proposal carries the operation, and the members' votes stand for their signatures.
	approved bool
	decided  bool // and the time lock is over
}

// decide applies the rules of the kind. Error: *registry.Refusal or a fault of the store.
func (r *run) decide(d *deciding) error {
	if d.op.Network != r.params.Network || d.op.ChainID != r.params.ChainID || (d.op.DID != "" && d.op.DID.Network() != r.params.Network) {
		return registry.Refuse(registry.CodeWrongNetwork, "made for another chain")
	}
	var err error
	if did.Handles(d.op.Kind()) {
		err = d.ownHistory()
	} else {
		err = d.governed()
	}
	if err != nil {
		return err
	}
	if d.used != 1<<len(d.op.Signatures)-1 {
		return registry.Refuse(registry.CodeMalformed, "a signature that no rule asked for")
	}
	return nil
}

// ownHistory is an operation of a DID's controller.
func (d *deciding) ownHistory() error {
	c, err := did.Apply(did.Input{Operation: d.op, State: d, Signatures: d, Height: d.height, Time: d.time, Development: d.params.Development, Decided: d.decided})
	if err != nil {
		return err
	}
	d.w.fact(registry.DIDFamily(c.ID), c.DID)
	for _, k := range c.Keys {
		d.w.fact(registry.KeyFamily(c.ID, k.ID), k.Fact)
	}
	for _, s := range c.Services {
		d.w.fact(registry.ServiceFamily(c.ID, s.ID), s.Fact)
	}
	return nil
}

// DID implements did.State.
func (d *deciding) DID(id registry.DID) (*registry.DIDFact, error) {
	fact, _, err := readFact[registry.DIDFact](d.w, registry.DIDFamily(id))
	return fact, err
}

// Key implements did.State.
func (d *deciding) Key(id registry.DID, kid string) (*registry.KeyFact, error) {
	fact, _, err := readFact[registry.KeyFact](d.w, registry.KeyFamily(id, kid))
	return fact, err
}

// Service implements did.State.
func (d *deciding) Service(id registry.DID, sid string) (*registry.ServiceFact, error) {
	fact, _, err := readFact[registry.ServiceFact](d.w, registry.ServiceFamily(id, sid))
	return fact, err
}

// Has implements did.Signatures.
func (d *deciding) Has(role string) bool { return d.find(role) >= 0 }

func (d *deciding) find(role string) int {
	for i := range d.op.Signatures {
		if d.op.Signatures[i].Role == role {
			return i
		}
	}
	return -1
}

// By implements did.Signatures.
func (d *deciding) By(role string, key registry.PublicKey) error {
	i := d.find(role)
	if i < 0 {
		return registry.Refuse(registry.CodeBadSignature, "a required signature is missing")
	}
	d.used |= 1 << i
	return d.parsed.verify(i, key)
}

// Threshold implements did.Signatures: the members have decided, by an approved proposal, or by signing together where
// the genesis allows that.
func (d *deciding) Threshold() error {
	if d.approved {
		return nil
	}
	if d.params.Closed {
		return registry.Refuse(registry.CodeThreshold, "only an approved proposal can do this")
	}
	return d.signedBy(d.params.Need(d.op.Kind()))
}

// signedBy checks that so many of the members at this height signed. A member's signature that does not hold refuses
// the operation even if there are enough others.
func (d *deciding) signedBy(need uint64) error {
	var count uint64
	for i := range d.op.Signatures {
		id, ok := registry.MemberOfRole(d.op.Signatures[i].Role)
		if !ok {
			continue
		}
		if err := d.byMember(id); err != nil {
			return err
		}
		count++
	}
	if count < need {
		return registry.Refuse(registry.CodeThreshold, "too few members signed")
	}
	return nil
}

// byMember checks the signature of a present member.
func (d *deciding) byMember(id string) error {
	member, err := d.member(id)
	if err != nil {
		return err
	}
	if member == nil {
		return registry.Refuse(registry.CodeThreshold, "signed by one who is not a member")
	}
	return d.By(registry.RoleMember(id), member.Key)
}

// member is a present member; nil when there is none of that id.
func (d *deciding) member(id string) (*registry.MemberFact, error) {
	if !registry.ValidFragment(id) {
		return nil, nil
	}
	member, _, err := readFact[registry.MemberFact](d.w, registry.MemberFamily(id))
	if err != nil || member == nil || member.Removed != 0 {
		return nil, err
	}
	return member, nil
}
