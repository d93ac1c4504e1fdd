// Package did holds the rules of the method did:dojang, pure: a state, an operation and what its signatures prove give
// changes or a refusal. It knows no tree, no time but the one it is given, and no engine.
//
// Apply is the function to use first; Document renders a W3C DID document from facts. Trusted is the State that is
// handed in; operations are not. Kinds, bodies and signers: registry/README.md, "Operation".
package did

import (
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Limits of one DID, so that its document stays below 16 KiB.
const (
	MaxKeys     = 16 // in force at one time
	MaxServices = 16
)

// RepudiationLimit is how far back a controller alone may date a compromise; further back k of n members must agree,
// so that nobody repudiates freely.
const RepudiationLimit = 72 * time.Hour

// Signatures says what the signatures of an operation prove. The chain implements it, with its verdict cache.
type Signatures interface {
	// Has reports whether there is a signature in a role, without checking it.
	Has(role string) bool
	// By checks the signature made in a role against a key. Error: a *registry.Refusal (bad-signature).
	By(role string, key registry.PublicKey) error
	// Threshold checks that k of n members signed. Error: a *registry.Refusal (threshold, bad-signature).
	Threshold() error
}

// State answers for the facts about DIDs as they stand before the operation. Absent is (nil, nil).
type State interface {
	DID(registry.DID) (*registry.DIDFact, error)
	Key(did registry.DID, id string) (*registry.KeyFact, error)
	Service(did registry.DID, id string) (*registry.ServiceFact, error)
}

// An Input is one operation with its surroundings.
type Input struct {
	Operation   *registry.SignedOperation
	State       State
	Signatures  Signatures
	Height      uint64
	Time        int64 // of the block's own header, seconds
	Development bool  // of the network: http services on loopback
	// Decided: k of n members decided it some time ago, when the history stood elsewhere. It is the next one all the same:
	// who holds the operation key, perhaps a thief, must not outrun a decision by changing something else meanwhile.
	Decided bool
}

// Changes are the facts to write.
type Changes struct {
	ID       registry.DID
	DID      registry.DIDFact
	Keys     []Named[registry.KeyFact]
	Services []Named[registry.ServiceFact]
}

// A Named fact has a fragment.
type Named[T any] struct {
	ID   string
	Fact T
}

// Handles reports whether Apply is the one to decide operations of this kind.
func Handles(kind registry.Kind) bool {
	switch kind {
	case registry.KindCreate, registry.KindUpdate, registry.KindRotate, registry.KindRecover, registry.KindFreeze,
		registry.KindDeactivate, registry.KindKeyRetire, registry.KindKeyCompromise:
		return true
	}
	return false
}

// Apply decides one operation of a DID's own history. Errors: *registry.Refusal, or a fault of State.
func Apply(in Input) (Changes, error) {
	c := Changes{ID: in.Operation.ID()}
	fact, err := in.State.DID(c.ID)
	if err != nil {
		return Changes{}, err
	}
	if in.Operation.Kind() == registry.KindCreate {
		if fact != nil {
			return Changes{}, registry.Refuse(registry.CodeExists, "the identifier exists")
		}
	} else {
		if err := in.continues(fact); err != nil {
			return Changes{}, err
		}
		c.DID = *fact
		c.DID.Keys, c.DID.Services = slices.Clone(fact.Keys), slices.Clone(fact.Services)
	}
	if err := in.decide(&c); err != nil {
		return Changes{}, err
	}
	if len(c.DID.Keys) > MaxKeys || len(c.DID.Services) > MaxServices {
		return Changes{}, registry.Refuse(registry.CodeLimit, "too many keys or services")
	}
	if fact != nil {
		c.DID.Seq = fact.Seq + 1
	}
	c.DID.Head = in.Operation.Hash.Digest()
	return c, nil
}

// continues checks that the operation is the next one of a living history.
func (in Input) continues(fact *registry.DIDFact) error {
	op := in.Operation
	switch {
	case fact == nil:
		return registry.Refuse(registry.CodeNotFound, "no such identifier")
	case fact.Deactivated != 0 && op.Kind() != registry.KindKeyCompromise:
		return registry.Refuse(registry.CodeDeactivated, "the identifier is deactivated")
	case fact.Frozen != 0 && op.Kind() != registry.KindRecover:
		return registry.Refuse(registry.CodeFrozen, "the identifier is frozen until recovery")
	case in.late(fact):
		return nil
	case op.Seq != fact.Seq+1 || op.Prev.Digest() != fact.Head:
		return registry.Refuse(registry.CodeVersionConflict, "not the next operation of this identifier")
	}
	return nil
}

// late: decided when an earlier operation was the newest.
func (in Input) late(fact *registry.DIDFact) bool {
	return in.Decided && in.Operation.Seq > 0 && in.Operation.Seq <= fact.Seq
}

func (in Input) decide(c *Changes) error {
	switch b := in.Operation.Body.(type) {
	case *registry.CreateBody:
		return in.create(b, c)
	case *registry.UpdateBody:
		return in.update(b, c)
	case *registry.RotateBody:
		return in.rotate(b, c)
	case *registry.RecoverBody:
		return in.recover(b, c)
	case *registry.FreezeBody:
		return in.freeze(b, c)
	case *registry.DeactivateBody:
		return in.deactivate(c)
	case *registry.RetireBody:
		return in.retire(b, c)
	case *registry.CompromiseBody:
		return in.compromise(b, c)
	}
	return registry.Refuse(registry.CodeMalformed, "not an operation of an identifier")
}

func (in Input) create(b *registry.CreateBody, c *Changes) error {
	own := b.Op.Hash()
	if b.Next == own || b.Recovery == own || b.Next == b.Recovery {
		return registry.Refuse(registry.CodeNotAllowed, "operation, next and recovery key must differ")
	}
	c.DID = registry.DIDFact{Op: b.Op, Next: b.Next.Digest(), Recovery: b.Recovery.Digest(), Created: in.Height}
	if err := in.add(b.Keys, b.Services, c); err != nil {
		return err
	}
	return in.Signatures.By(registry.RoleOp, b.Op)
}

func (in Input) update(b *registry.UpdateBody, c *Changes) error {
	for _, id := range b.Remove {
		i := slices.Index(c.DID.Services, id)
		if i < 0 {
			return registry.Refuse(registry.CodeNotFound, "no such service to remove")
		}
		old, err := in.State.Service(c.ID, id)
		if err != nil {
			return err
		}
		old.Removed = in.Height
		c.DID.Services = slices.Delete(c.DID.Services, i, i+1)
		c.Services = append(c.Services, Named[registry.ServiceFact]{ID: id, Fact: *old})
	}
	if err := in.add(b.Keys, b.Services, c); err != nil {
		return err
	}
	return in.Signatures.By(registry.RoleOp, c.DID.Op)
}

// add adds keys, whose ids are never used twice, and sets services.
func (in Input) add(keys []registry.NewKey, services []registry.Service, c *Changes) error {
	for _, k := range keys {
		old, err := in.State.Key(c.ID, k.ID)
		if err != nil {
			return err
		}
		if old != nil {
			return registry.Refuse(registry.CodeExists, "a key of that name exists or existed")
		}
		c.DID.Keys = append(c.DID.Keys, k.ID)
		c.Keys = append(c.Keys, Named[registry.KeyFact]{ID: k.ID, Fact: registry.KeyFact{Use: k.Use, Key: k.Key, Active: in.Height}})
	}
	for _, s := range services {
		if !AllowedURI(s.Endpoint, in.Development) {
			return registry.Refuse(registry.CodeNotAllowed, "service endpoint must be https")
		}
		if slices.ContainsFunc(c.Services, func(n Named[registry.ServiceFact]) bool { return n.ID == s.ID }) {
			return registry.Refuse(registry.CodeMalformed, "a service both removed and set")
		}
		if !slices.Contains(c.DID.Services, s.ID) {
			c.DID.Services = append(c.DID.Services, s.ID)
		}
		c.Services = append(c.Services, Named[registry.ServiceFact]{ID: s.ID, Fact: registry.ServiceFact{Type: s.Type, Endpoint: s.Endpoint}})
	}
	return nil
}

// rotate: the current key and the one it committed to both sign, the controllers before and after (pre-rotation).
func (in Input) rotate(b *registry.RotateBody, c *Changes) error {
	if b.Key.Hash().Digest() != c.DID.Next {
		return registry.Refuse(registry.CodeNotAllowed, "not the key committed to")
	}
	if next := b.Next.Digest(); next == c.DID.Next || next == c.DID.Recovery || next == c.DID.Op.Hash().Digest() {
		return registry.Refuse(registry.CodeNotAllowed, "the next key must be a new one")
	}
	if err := in.Signatures.By(registry.RoleOp, c.DID.Op); err != nil {
		return err
	}
	if err := in.Signatures.By(registry.RoleNext, b.Key); err != nil {
		return err
	}
	c.DID.Op, c.DID.Next = b.Key, b.Next.Digest()
	return nil
}

// recover: the recovery key, or k of n members, put new control keys in place; the new operation key signs as well.
func (in Input) recover(b *registry.RecoverBody, c *Changes) error {
	own, shown := b.Op.Hash(), []registry.Hash{c.DID.Op.Hash(), registry.HashOfDigest(c.DID.Recovery)}
	if b.Next == own || b.Recovery == own || b.Next == b.Recovery || slices.Contains(shown, b.Next) || slices.Contains(shown, b.Recovery) {
		return registry.Refuse(registry.CodeNotAllowed, "operation, next and recovery key must be new and differ")
	}
	if err := in.Signatures.By(registry.RoleOp, b.Op); err != nil {
		return err
	}
	if b.Key == nil {
		if err := in.Signatures.Threshold(); err != nil {
			return err
		}
	} else if err := in.byRecovery(b.Key, c); err != nil {
		return err
	}
	c.DID.Op, c.DID.Next, c.DID.Recovery, c.DID.Frozen = b.Op, b.Next.Digest(), b.Recovery.Digest(), 0
	return nil
}

func (in Input) freeze(b *registry.FreezeBody, c *Changes) error {
	if d := b.Recovery.Digest(); d == c.DID.Recovery || d == c.DID.Next || b.Recovery == c.DID.Op.Hash() {
		return registry.Refuse(registry.CodeNotAllowed, "the recovery key is shown now: commit to a new one")
	}
	if err := in.byRecovery(b.Key, c); err != nil {
		return err
	}
	c.DID.Frozen, c.DID.Recovery = in.Height, b.Recovery.Digest()
	return nil
}

func (in Input) byRecovery(key registry.PublicKey, c *Changes) error {
	if key.Hash().Digest() != c.DID.Recovery {
		return registry.Refuse(registry.CodeNotAllowed, "not the recovery key committed to")
	}
	return in.Signatures.By(registry.RoleRecovery, key)
}

// deactivate retires every key, so that one key leaf alone tells a reader that it no longer signs.
func (in Input) deactivate(c *Changes) error {
	if err := in.controllerOrMembers(c); err != nil {
		return err
	}
	for _, id := range c.DID.Keys {
		key, err := in.State.Key(c.ID, id)
		if err != nil {
			return err
		}
		key.Retired = in.Height
		c.Keys = append(c.Keys, Named[registry.KeyFact]{ID: id, Fact: *key})
	}
	c.DID.Keys, c.DID.Deactivated = nil, in.Height
	return nil
}

func (in Input) retire(b *registry.RetireBody, c *Changes) error {
	key, err := in.key(b.ID, c)
	if err != nil {
		return err
	}
	if key.Retired != 0 {
		return registry.Refuse(registry.CodeNotAllowed, "the key is retired")
	}
	if err := in.controllerOrMembers(c); err != nil {
		return err
	}
	key.Retired = in.Height
	return in.end(b.ID, key, c)
}

func (in Input) compromise(b *registry.CompromiseBody, c *Changes) error {
	key, err := in.key(b.ID, c)
	if err != nil {
		return err
	}
	if b.From > in.Time {
		return registry.Refuse(registry.CodeBadTime, "a compromise cannot lie in the future")
	}
	// Later than declared before would make refused signatures count again.
	if fact := c.DID; key.CompromisedFrom != 0 && in.late(&fact) && b.From >= key.CompromisedFrom {
		return registry.Refuse(registry.CodeVersionConflict, "declared compromised from an earlier moment on meanwhile")
	}
	// A thief who ends the DID as well must not make what a stolen key signed good for ever: the members may still declare it.
	weaker := key.CompromisedFrom != 0 && b.From >= key.CompromisedFrom
	if c.DID.Deactivated != 0 || weaker || in.Time-b.From > int64(RepudiationLimit/time.Second) {
		if in.Signatures.Has(registry.RoleOp) {
			if err := in.Signatures.By(registry.RoleOp, c.DID.Op); err != nil {
				return err
			}
		}
		err = in.Signatures.Threshold()
	} else {
		err = in.controllerOrMembers(c)
	}
	if err != nil {
		return err
	}
	key.CompromisedFrom, key.Declared = b.From, in.Height
	return in.end(b.ID, key, c)
}

func (in Input) key(id string, c *Changes) (*registry.KeyFact, error) {
	key, err := in.State.Key(c.ID, id)
	if err == nil && key == nil {
		err = registry.Refuse(registry.CodeNotFound, "no such key")
	}
	return key, err
}

// end writes a key that is no longer in force.
func (in Input) end(id string, key *registry.KeyFact, c *Changes) error {
	c.DID.Keys = slices.DeleteFunc(c.DID.Keys, func(k string) bool { return k == id })
	c.Keys = append(c.Keys, Named[registry.KeyFact]{ID: id, Fact: *key})
	return nil
}

func (in Input) controllerOrMembers(c *Changes) error {
	if in.Signatures.Has(registry.RoleOp) {
		return in.Signatures.By(registry.RoleOp, c.DID.Op)
	}
	return in.Signatures.Threshold()
}
