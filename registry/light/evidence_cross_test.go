package light_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry/evidence"
)

// Package evidence computes header hashes, validator set hashes and vote sign bytes without the engine. Here, where the
// engine may be seen, both are held against each other on random headers, sets and commits.

const crossRounds = 10_000

func TestEvidenceAgreesWithTheEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range crossRounds {
		set, ours := randomSet(r)
		if h := ours.Hash(); !bytes.Equal(h[:], set.Hash()) {
			t.Fatalf("round %d: validators hash differs", i)
		}
		header := randomHeader(r, set)
		mine := ourHeader(header)
		got := mine.Hash()
		if !bytes.Equal(got[:], header.Hash()) {
			t.Fatalf("round %d: header hash differs: %+v", i, header)
		}
		id := types.BlockID{Hash: header.Hash(), PartSetHeader: types.PartSetHeader{Total: r.Uint32N(1000) + 1, Hash: random(r, 32)}}
		round := r.Int32N(5)
		when := randomTime(r)
		vote := &cmtproto.Vote{Type: cmtproto.PrecommitType, Height: header.Height, Round: round, BlockID: id.ToProto(), Timestamp: when}
		want := types.VoteSignBytes(header.ChainID, vote)
		commit := evidence.Commit{Round: uint32(round), PartsTotal: id.PartSetHeader.Total, PartsHash: id.PartSetHeader.Hash}
		if !bytes.Equal(commit.SignBytes(&mine, when), want) {
			t.Fatalf("round %d: sign bytes differ", i)
		}
	}
}

// A commit that the engine accepts is accepted, and one byte changed in any vote is refused by both.
func TestEvidenceCommitsAgreeWithTheEngine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		n := r.IntN(7) + 1
		keys := make([]cmted25519.PrivKey, n)
		vals := make([]*types.Validator, n)
		for j := range keys {
			keys[j] = cmted25519.GenPrivKeyFromSecret(fmt.Appendf(nil, "key %d %d", i, j))
			vals[j] = types.NewValidator(keys[j].PubKey(), int64(r.IntN(100)+1))
		}
		set := types.NewValidatorSet(vals)
		byAddress := map[string]cmted25519.PrivKey{}
		for _, k := range keys {
			byAddress[string(k.PubKey().Address())] = k
		}
		tree := stateTree(t, random(r, 8))
		header := randomHeader(r, set)
		header.ChainID, header.Time = "cross-1", time.Unix(1_800_000_000, 5).UTC()
		header.AppHash = tree.root[:]
		id := types.BlockID{Hash: header.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: random(r, 32)}}
		commit := &types.Commit{Height: header.Height, Round: 1, BlockID: id, Signatures: make([]types.CommitSig, n)}
		ours := evidence.SignedHeader{Header: ourHeader(header), Commit: evidence.Commit{Round: 1, PartsTotal: 1, PartsHash: id.PartSetHeader.Hash}}
		var trust evidence.Trust
		for j, v := range set.Validators {
			trust.Validators = append(trust.Validators, evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower})
			commit.Signatures[j] = types.NewCommitSigAbsent()
			if r.IntN(4) == 0 {
				continue
			}
			cs := types.CommitSig{BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: header.Time.Add(time.Duration(j) * time.Second)}
			commit.Signatures[j] = cs
			sig, err := byAddress[string(v.Address)].Sign(commit.VoteSignBytes(header.ChainID, int32(j)))
			if err != nil {
				t.Fatal(err)
			}
			commit.Signatures[j].Signature = sig
			ours.Commit.Votes = append(ours.Commit.Votes, evidence.Vote{Index: j, Time: cs.Timestamp, Signature: sig})
		}
		engine := set.VerifyCommitLight(header.ChainID, id, header.Height, commit)
		trust.ChainID, trust.Network, trust.TrustingPeriod, trust.Time = header.ChainID, "cross", time.Hour, header.Time.Add(-time.Minute)
		b, err := evidence.Build(evidence.Material{ChainID: header.ChainID, Headers: []evidence.SignedHeader{ours}, State: evidence.StateProof{Tree: tree.bytes}})
		if err != nil {
			t.Fatal(err)
		}
		_, mine := evidence.Check(b, trust, header.Time)
		if (engine == nil) != (mine == nil) {
			t.Fatalf("round %d: engine says %v, evidence says %v", i, engine, mine)
		}
		if mine != nil {
			continue
		}
		ours.Commit.Votes[0].Signature[r.IntN(64)] ^= 1
		b, err = evidence.Build(evidence.Material{ChainID: header.ChainID, Headers: []evidence.SignedHeader{ours}, State: evidence.StateProof{Tree: tree.bytes}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.Check(b, trust, header.Time); err == nil {
			t.Fatalf("round %d: a changed vote was accepted", i)
		}
	}
}

type shownTree struct {
	bytes []byte
	root  [32]byte
}

// stateTree is a state of one leaf.
func stateTree(t *testing.T, value []byte) shownTree {
	t.Helper()
	n := &evidence.TreeNode{Key: []byte("k"), Value: value, Version: 1}
	b, err := evidence.EncodeTree(n)
	if err != nil {
		t.Fatal(err)
	}
	return shownTree{b, n.Digest()}
}

func randomSet(r *rand.Rand) (*types.ValidatorSet, evidence.ValidatorSet) {
	n := r.IntN(9) + 1
	vals := make([]*types.Validator, n)
	for i := range vals {
		vals[i] = types.NewValidator(cmted25519.PubKey(random(r, ed25519.PublicKeySize)), r.Int64N(1<<uint(r.IntN(40)+1))+1)
	}
	set := types.NewValidatorSet(vals)
	var ours evidence.ValidatorSet
	for _, v := range set.Validators {
		ours = append(ours, evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower})
	}
	return set, ours
}

func randomHeader(r *rand.Rand, set *types.ValidatorSet) *types.Header {
	h := &types.Header{
		Version: cmtversion.Consensus{Block: r.Uint64N(300), App: r.Uint64N(3)},
		ChainID: fmt.Sprintf("chain-%d", r.IntN(1_000_000)), Height: r.Int64N(1<<uint(r.IntN(50)+1)) + 1, Time: randomTime(r),
		LastCommitHash: maybe(r), DataHash: maybe(r), ValidatorsHash: set.Hash(), NextValidatorsHash: set.Hash(),
		ConsensusHash: maybe(r), AppHash: random(r, 32), LastResultsHash: maybe(r), EvidenceHash: maybe(r), ProposerAddress: random(r, 20),
	}
	if r.IntN(5) > 0 {
		h.LastBlockID = types.BlockID{Hash: random(r, 32), PartSetHeader: types.PartSetHeader{Total: r.Uint32N(1 << 20), Hash: random(r, 32)}}
	}
	return h
}

func ourHeader(h *types.Header) evidence.Header {
	return evidence.Header{
		Block: h.Version.Block, App: h.Version.App, ChainID: h.ChainID, Height: uint64(h.Height), Time: h.Time,
		LastBlock:  evidence.BlockID{Hash: h.LastBlockID.Hash, PartsTotal: h.LastBlockID.PartSetHeader.Total, PartsHash: h.LastBlockID.PartSetHeader.Hash},
		LastCommit: h.LastCommitHash, Data: h.DataHash, Validators: h.ValidatorsHash, NextValidators: h.NextValidatorsHash,
		Consensus: h.ConsensusHash, AppHash: h.AppHash, LastResults: h.LastResultsHash, Evidence: h.EvidenceHash, Proposer: h.ProposerAddress,
	}
}

func maybe(r *rand.Rand) []byte {
	if r.IntN(6) == 0 {
		return nil
	}
	return random(r, sha256.Size)
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randomTime has whole seconds now and then: protobuf leaves zero out.
func randomTime(r *rand.Rand) time.Time {
	nanos := r.Int64N(1e9)
	if r.IntN(4) == 0 {
		nanos = 0
	}
	return time.Unix(r.Int64N(1<<33), nanos).UTC()
}
