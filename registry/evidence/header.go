package evidence

import "time"

// A Header is a block header as the engine hashes it. All hashes are 32 bytes or empty; Proposer is 20 bytes.
type Header struct {
	Block, App         uint64 // protocol versions
	ChainID            string
	Height             uint64
	Time               time.Time
	LastBlock          BlockID
	LastCommit         []byte
	Data               []byte
	Validators         []byte
	NextValidators     []byte
	Consensus          []byte
	AppHash            []byte
	LastResults        []byte
	EvidenceOfMisdeeds []byte
	Proposer           []byte
}

// A BlockID names a block: its header hash and its parts.
type BlockID struct {
	Hash       []byte
	PartsTotal uint32
	PartsHash  []byte
}

// A Vote is one validator's precommit for the block; Index is its place in the validator set.
type Vote struct {
	Index     int
	Time      time.Time
	Signature []byte
}

// A Commit holds precommits for one block: only those for the block itself, none that are absent or nil.
type Commit struct {
	Round      uint32
	PartsTotal uint32
	PartsHash  []byte
	Votes      []Vote
}

// A SignedHeader is a header with the votes for it.
type SignedHeader struct {
	Header Header
	Commit Commit
}

// A Validator has an Ed25519 key.
type Validator struct {
	PublicKey [32]byte
	Power     int64
}

// A ValidatorSet is in the engine's order.
type ValidatorSet []Validator

// Hash is the header's hash, as in the engine.
func (h *Header) Hash() [32]byte { return [32]byte{} }

// Hash is what a header has as validators hash.
func (s ValidatorSet) Hash() [32]byte { return [32]byte{} }

// SignBytes is what the vote signs.
func (c *Commit) SignBytes(h *Header, headerHash [32]byte, v Vote) []byte { return nil }
