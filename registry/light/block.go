package light

import (
	"fmt"
	"time"

	"github.com/dojang-id/dojang/registry/evidence"
)

// A Block is what stands in a light block (GET /v1/headers/{height}), without the engine's types.
type Block struct {
	Height     uint64
	Time       time.Time
	Hash       [32]byte
	AppHash    [32]byte // of the state before this block
	Validators evidence.ValidatorSet
}

// ParseBlock reads a light block and checks that more than two thirds of the validators in it have signed its header.
// Whether those are the chain's is the caller's to know: a Client tracks it, a tool compares the set with one it trusts.
func ParseBlock(chainID string, raw []byte) (Block, error) {
	lb, err := parseLightBlock(chainID, raw)
	if err != nil {
		return Block{}, err
	}
	if err := lb.ValidatorSet.VerifyCommitLight(chainID, lb.Commit.BlockID, lb.Height, lb.Commit); err != nil {
		return Block{}, fmt.Errorf("light block: %w", err)
	}
	b := Block{Height: uint64(lb.Height), Time: lb.Time, Hash: [32]byte(lb.Hash())}
	if len(lb.AppHash) == len(b.AppHash) {
		b.AppHash = [32]byte(lb.AppHash)
	}
	for _, v := range lb.ValidatorSet.Validators {
		b.Validators = append(b.Validators, evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower})
	}
	return b, nil
}
