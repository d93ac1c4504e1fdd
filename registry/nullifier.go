package registry

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Kinds of "claim once"; README.md "Nullifiers".
const (
	KindRoundOpen      Kind = "round-open"
	KindRoundClose     Kind = "round-close"
	KindRoundPrune     Kind = "round-prune"
	KindNullifierClaim Kind = "nullifier-claim"
)

// RoleClaim signs claims, with the key that the round names.
const RoleClaim = "claim"

// PruneStep is how many tags one round-prune takes away; a block takes one of each round.
const PruneStep = 1000

// ClaimTag is all that the chain sees of a nullifier: HMAC-SHA-256 under the round's key, which only the programme has and
// destroys at the end of retention.
func ClaimTag(roundKey, nullifier []byte) [32]byte {
	mac := hmac.New(sha256.New, roundKey)
	mac.Write(nullifier)
	return [32]byte(mac.Sum(nil))
}

// A RoundRef names a round of a programme of a DID.
type RoundRef struct {
	Programme string `cbor:"programme"`
	Round     string `cbor:"round"`
}

// RoundOpenBody opens a round: the DID, accredited for a type of the programme, takes one claim of each person in it.
type RoundOpenBody struct {
	RoundRef
	Via   AccreditationRef `cbor:"via"`
	Key   PublicKey        `cbor:"key"`   // signs claims
	Until int64            `cbor:"until"` // seconds, UTC: end of retention
}

// RoundCloseBody ends a round: from now on there are no claims.
type RoundCloseBody struct {
	RoundRef
}

// RoundPruneBody takes the next tags of a round away whose retention is over.
type RoundPruneBody struct {
	RoundRef
	Destroyed int64 `cbor:"destroyed,omitempty"` // seconds, UTC: the round's key was destroyed, says the DID
}

// ClaimBody is one claim. Case tells two claims of one person from one claim that is sent twice.
type ClaimBody struct {
	RoundRef
	Tag  [32]byte `cbor:"tag"`
	Case [32]byte `cbor:"case"` // random; the case file has it
}

func (*RoundOpenBody) Kind() Kind  { return KindRoundOpen }
func (*RoundCloseBody) Kind() Kind { return KindRoundClose }
func (*RoundPruneBody) Kind() Kind { return KindRoundPrune }
func (*ClaimBody) Kind() Kind      { return KindNullifierClaim }

func (r *RoundRef) check() error {
	if !ValidFragment(r.Programme) || !ValidFragment(r.Round) {
		return ErrMalformed
	}
	return nil
}

func (b *RoundOpenBody) check(*Operation) error {
	if !ValidType(b.Via.Type) || b.Via.N == 0 || b.Until <= 0 {
		return ErrMalformed
	}
	return firstError(b.RoundRef.check(), checkKey(b.Key))
}

func (b *RoundCloseBody) check(*Operation) error { return b.RoundRef.check() }

func (b *RoundPruneBody) check(*Operation) error {
	if b.Destroyed < 0 {
		return ErrMalformed
	}
	return b.RoundRef.check()
}

func (b *ClaimBody) check(o *Operation) error {
	if o.Seq != 0 {
		return ErrMalformed
	}
	return b.RoundRef.check()
}

// RoundFamily is a round. RoundTreeKey is the tree over its tags, ClaimKey one tag, ClaimPrefix all of them.
func RoundFamily(d DID, r RoundRef) Family {
	return Family("d/" + d.ID() + "/round/" + r.Programme + "/" + r.Round + "/")
}
func RoundTreeKey(d DID, r RoundRef) []byte { return []byte(string(RoundFamily(d, r)) + "tree") }
func ClaimPrefix(d DID, r RoundRef) []byte  { return []byte(string(RoundFamily(d, r)) + "tag/") }
func ClaimKey(d DID, r RoundRef, tag [32]byte) []byte {
	return append(ClaimPrefix(d, r), tag[:]...)
}

// A RoundFact is a round with its place in life. Times are seconds.
type RoundFact struct {
	Key       PublicKey `cbor:"0,keyasint"`
	Until     int64     `cbor:"1,keyasint"`           // end of retention
	Closed    uint64    `cbor:"2,keyasint,omitempty"` // height
	Pruned    uint64    `cbor:"3,keyasint,omitempty"` // tags taken away
	Ended     uint64    `cbor:"4,keyasint,omitempty"` // height at which none was left
	Destroyed int64     `cbor:"5,keyasint,omitempty"` // the key, says the DID
}

// A RoundTree is the RFC 6962 tree over the tags of a round, in the order of the claims. It stays when they are gone.
type RoundTree struct {
	Size     uint64   `cbor:"0,keyasint"`
	Root     [32]byte `cbor:"1,keyasint"`
	Frontier [][]byte `cbor:"2,keyasint"`
}

// A ClaimFact is one tag. No time, no place: the programme's files have them.
type ClaimFact struct {
	Case [32]byte `cbor:"0,keyasint"`
}
