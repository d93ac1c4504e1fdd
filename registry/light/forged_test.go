package light_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"github.com/fxamacker/cbor/v2"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// A recording is what honest nodes of a network said: light blocks by height, and one Evidence under each of them.
type recording struct {
	trust      evidence.Trust
	blocks     map[uint64]*types.LightBlock
	evidence   map[uint64][]byte // that there is no digest of vct
	top        uint64
	validators []crypto.PrivKey // of all, in the order of the nodes
}

func record(t *testing.T, blocks uint64) *recording {
	t.Helper()
	dir := t.TempDir()
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 4, Heartbeat: 100 * time.Millisecond})
	must(t, err)
	must(t, l.Start(t.Context()))
	defer func() { _ = l.Stop(context.Background()) }()
	n := l.Nodes[0]
	must(t, n.WaitHeight(t.Context(), 3))
	r := &recording{blocks: map[uint64]*types.LightBlock{}, evidence: map[uint64][]byte{}}
	r.trust, err = n.Trust(time.Now().Add(time.Hour))
	must(t, err)
	r.top = r.trust.Height + blocks
	must(t, n.WaitHeight(t.Context(), r.top+1)) // its votes are final then
	for h := r.trust.Height; h <= r.top; h++ {
		raw, err := n.LightBlock(h)
		must(t, err)
		r.blocks[h] = decodeBlock(t, raw)
		r.evidence[h], err = n.Evidence(node.Query{Query: chain.Query{Types: []string{vct}}, Height: h}, "")
		must(t, err)
	}
	for i := range 4 {
		raw, err := os.ReadFile(filepath.Join(dir, "node-"+strconv.Itoa(i+1), "validator_key.json"))
		must(t, err)
		var key privval.FilePVKey
		must(t, cmtjson.Unmarshal(raw, &key))
		r.validators = append(r.validators, key.PrivKey)
	}
	return r
}

func decodeBlock(t *testing.T, raw []byte) *types.LightBlock {
	t.Helper()
	var pb cmtproto.LightBlock
	must(t, pb.Unmarshal(raw))
	lb, err := types.LightBlockFromProto(&pb)
	must(t, err)
	return lb
}

// copied is a block that may be bent.
func (r *recording) copied(t *testing.T, height uint64) *types.LightBlock {
	t.Helper()
	pb, err := r.blocks[height].ToProto()
	must(t, err)
	raw, err := pb.Marshal()
	must(t, err)
	return decodeBlock(t, raw)
}

// A replayed node answers from a recording, and lies.
type replayed struct {
	r    *recording
	head uint64                       // the newest that it shows
	bent map[uint64]*types.LightBlock // what it shows instead
	ev   []byte                       // Evidence instead
}

// replayedNodes is the network of a client: nodes by host name.
type replayedNodes map[string]*replayed

func (nodes replayedNodes) RoundTrip(q *http.Request) (*http.Response, error) {
	n := nodes[q.URL.Host]
	if n == nil {
		return nil, errors.New("no such host")
	}
	body, status := n.answer(q.URL.Path)
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{}, Request: q}, nil
}

func (n *replayed) answer(path string) ([]byte, int) {
	if path == "/v1/evidence" {
		if n.ev != nil {
			return n.ev, http.StatusOK
		}
		return n.r.evidence[n.head], http.StatusOK
	}
	name, ok := strings.CutPrefix(path, "/v1/headers/")
	if !ok {
		return nil, http.StatusNotFound
	}
	height := n.head
	if name != "latest" {
		height, _ = strconv.ParseUint(name, 10, 64)
	}
	lb := n.r.blocks[height]
	if bent := n.bent[height]; bent != nil {
		lb = bent
	}
	if lb == nil {
		return nil, http.StatusNotFound
	}
	pb, err := lb.ToProto()
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	raw, err := pb.Marshal()
	if err != nil {
		return nil, http.StatusInternalServerError
	}
	return raw, http.StatusOK
}

// believed asks for a fact; it is true when the client gave one, and the header it trusts then.
func believed(t *testing.T, r *recording, nodes replayedNodes) (trusted evidence.Trust, ok bool) {
	t.Helper()
	c := client(t, light.Config{Nodes: []string{"http://a", "http://b"}, Trust: r.trust, HTTP: &http.Client{Transport: nodes}})
	_, _, err := c.TypeDigest(t.Context(), vct)
	if err == nil {
		t.Fatal("a digest that is not there")
	}
	if !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrUntrusted) && !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("an error of no kind: %v", err)
	}
	return c.Trust(), errors.Is(err, registry.ErrNotFound)
}

// sign makes votes of keys for a header; the set is theirs.
func sign(t *testing.T, lb *types.LightBlock, keys []crypto.PrivKey) {
	t.Helper()
	lb.Commit.BlockID.Hash = lb.Header.Hash()
	byAddress := map[string]crypto.PrivKey{}
	for _, k := range keys {
		byAddress[string(k.PubKey().Address())] = k
	}
	lb.Commit.Signatures = make([]types.CommitSig, len(lb.ValidatorSet.Validators))
	for i, v := range lb.ValidatorSet.Validators {
		key := byAddress[string(v.Address)]
		if key == nil {
			lb.Commit.Signatures[i] = types.NewCommitSigAbsent()
			continue
		}
		s := types.CommitSig{BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: lb.Header.Time.Add(time.Millisecond)}
		lb.Commit.Signatures[i] = s
		var err error
		lb.Commit.Signatures[i].Signature, err = key.Sign(lb.Commit.VoteSignBytes(lb.Header.ChainID, int32(i)))
		must(t, err)
	}
}

// theirs gives a block a validator set of keys.
func theirs(lb *types.LightBlock, keys []crypto.PrivKey) {
	vs := make([]*types.Validator, len(keys))
	for i, k := range keys {
		vs[i] = types.NewValidator(k.PubKey(), 10)
	}
	lb.ValidatorSet = types.NewValidatorSet(vs)
	lb.Header.ValidatorsHash, lb.Header.NextValidatorsHash = lb.ValidatorSet.Hash(), lb.ValidatorSet.Hash()
	lb.Header.ProposerAddress = vs[0].Address
}

// bends are what a liar without enough keys can do to a block. All of them are refused whoever else says the same.
func (r *recording) bends(t *testing.T) map[string]func(*types.LightBlock, *rand.Rand) {
	flip := func(b []byte, random *rand.Rand) { b[random.IntN(len(b))] ^= 1 << random.IntN(8) }
	strangers := []crypto.PrivKey{ed25519.GenPrivKey(), ed25519.GenPrivKey(), ed25519.GenPrivKey(), ed25519.GenPrivKey()}
	lie := func(lb *types.LightBlock, random *rand.Rand) { flip(lb.Header.AppHash, random) }
	return map[string]func(*types.LightBlock, *rand.Rand){
		"app version":   func(lb *types.LightBlock, _ *rand.Rand) { lb.Version.App++ },
		"block version": func(lb *types.LightBlock, _ *rand.Rand) { lb.Version.Block-- },
		"chain id":      func(lb *types.LightBlock, _ *rand.Rand) { lb.ChainID += "x" },
		"time later":    func(lb *types.LightBlock, x *rand.Rand) { lb.Time = lb.Time.Add(time.Duration(1 + x.IntN(1e9))) },
		"time earlier":  func(lb *types.LightBlock, x *rand.Rand) { lb.Time = lb.Time.Add(-time.Duration(1 + x.IntN(1e9))) },
		"height": func(lb *types.LightBlock, x *rand.Rand) {
			lb.Header.Height += 1 + x.Int64N(9)
			lb.Commit.Height = lb.Header.Height
		},
		"last block":      func(lb *types.LightBlock, x *rand.Rand) { flip(lb.LastBlockID.Hash, x) },
		"last parts":      func(lb *types.LightBlock, x *rand.Rand) { flip(lb.LastBlockID.PartSetHeader.Hash, x) },
		"last commit":     func(lb *types.LightBlock, x *rand.Rand) { flip(lb.LastCommitHash, x) },
		"data":            func(lb *types.LightBlock, x *rand.Rand) { flip(lb.DataHash, x) },
		"validators hash": func(lb *types.LightBlock, x *rand.Rand) { flip(lb.ValidatorsHash, x) },
		"next validators": func(lb *types.LightBlock, x *rand.Rand) { flip(lb.NextValidatorsHash, x) },
		"consensus":       func(lb *types.LightBlock, x *rand.Rand) { flip(lb.ConsensusHash, x) },
		"app hash":        lie,
		"last results":    func(lb *types.LightBlock, x *rand.Rand) { flip(lb.LastResultsHash, x) },
		"evidence":        func(lb *types.LightBlock, x *rand.Rand) { flip(lb.EvidenceHash, x) },
		"proposer":        func(lb *types.LightBlock, x *rand.Rand) { flip(lb.Header.ProposerAddress, x) },
		"block id":        func(lb *types.LightBlock, x *rand.Rand) { flip(lb.Commit.BlockID.Hash, x) },
		"block id and app hash": func(lb *types.LightBlock, x *rand.Rand) {
			lie(lb, x)
			lb.Commit.BlockID.Hash = lb.Header.Hash()
		},
		"commit of another round": func(lb *types.LightBlock, x *rand.Rand) { lb.Commit.Round += 1 + x.Int32N(9) },
		"commit's parts":          func(lb *types.LightBlock, x *rand.Rand) { flip(lb.Commit.BlockID.PartSetHeader.Hash, x) },
		"two signatures": func(lb *types.LightBlock, _ *rand.Rand) {
			for i := range lb.Commit.Signatures[2:] {
				lb.Commit.Signatures[2+i] = types.NewCommitSigAbsent()
			}
		},
		"no signatures": func(lb *types.LightBlock, _ *rand.Rand) {
			for i := range lb.Commit.Signatures {
				lb.Commit.Signatures[i] = types.NewCommitSigAbsent()
			}
		},
		"one vote four times": func(lb *types.LightBlock, x *rand.Rand) {
			s := lb.Commit.Signatures[x.IntN(len(lb.Commit.Signatures))]
			for i := range lb.Commit.Signatures {
				lb.Commit.Signatures[i] = s
			}
		},
		"nil votes": func(lb *types.LightBlock, _ *rand.Rand) {
			for i := range lb.Commit.Signatures {
				lb.Commit.Signatures[i].BlockIDFlag = types.BlockIDFlagNil
			}
		},
		"votes of other times": func(lb *types.LightBlock, x *rand.Rand) {
			for i := range lb.Commit.Signatures {
				lb.Commit.Signatures[i].Timestamp = lb.Commit.Signatures[i].Timestamp.Add(time.Duration(1 + x.IntN(1e9)))
			}
		},
		"signatures in another order": func(lb *types.LightBlock, _ *rand.Rand) {
			s := lb.Commit.Signatures
			for i := range s {
				s[i].Signature = append([]byte(nil), r.blocks[uint64(lb.Height)].Commit.Signatures[(i+1)%len(s)].Signature...)
			}
		},
		"a bit of every signature": func(lb *types.LightBlock, x *rand.Rand) {
			for i := range lb.Commit.Signatures {
				if len(lb.Commit.Signatures[i].Signature) > 0 {
					flip(lb.Commit.Signatures[i].Signature, x)
				}
			}
		},
		"more power": func(lb *types.LightBlock, x *rand.Rand) { lb.ValidatorSet.Validators[x.IntN(4)].VotingPower += 1000 },
		"a validator less": func(lb *types.LightBlock, x *rand.Rand) {
			lb.ValidatorSet = types.NewValidatorSet(lb.ValidatorSet.Validators[:3])
		},
		"strangers sign": func(lb *types.LightBlock, x *rand.Rand) {
			lie(lb, x)
			theirs(lb, strangers)
			sign(t, lb, strangers)
		},
		"strangers sign the founders' header": func(lb *types.LightBlock, _ *rand.Rand) { sign(t, lb, strangers) },
		"one validator and three strangers": func(lb *types.LightBlock, x *rand.Rand) {
			keys := append([]crypto.PrivKey{r.validators[x.IntN(4)]}, strangers[:3]...)
			lie(lb, x)
			theirs(lb, keys)
			sign(t, lb, keys)
		},
		"one validator alone": func(lb *types.LightBlock, x *rand.Rand) {
			keys := r.validators[x.IntN(4):][:1]
			lie(lb, x)
			theirs(lb, keys)
			sign(t, lb, keys)
		},
		"one of four signs": func(lb *types.LightBlock, x *rand.Rand) {
			lie(lb, x)
			sign(t, lb, r.validators[x.IntN(4):][:1])
		},
		"two of four sign": func(lb *types.LightBlock, x *rand.Rand) {
			lie(lb, x)
			sign(t, lb, r.validators[x.IntN(3):][:2])
		},
		"another block of the chain": func(lb *types.LightBlock, x *rand.Rand) {
			*lb = *r.copied(t, uint64(lb.Height)-1-x.Uint64N(3))
		},
	}
}

// TestForgedHeaders is R3 and H11 to H13 in bulk: no lie is believed, whoever tells it.
func TestForgedHeaders(t *testing.T) {
	r := record(t, 12)
	cases, accepted := 0, 0
	t.Run("the truth is believed", func(t *testing.T) {
		trusted, ok := believed(t, r, replayedNodes{"a": {r: r, head: r.top}, "b": {r: r, head: r.top}})
		if !ok || trusted.Hash != [32]byte(r.blocks[r.top].Hash()) {
			t.Fatal("not believed")
		}
	})
	t.Run("what all validators sign and nobody contradicts cannot be told from the truth", func(t *testing.T) {
		bent := r.copied(t, r.top) // else the cases below would show nothing
		bent.Header.AppHash[0] ^= 1
		sign(t, bent, r.validators)
		lies := map[uint64]*types.LightBlock{r.top: bent}
		if trusted, _ := believed(t, r, replayedNodes{"a": {r: r, head: r.top, bent: lies}, "b": {r: r, head: r.top, bent: lies}}); trusted.Hash != [32]byte(bent.Hash()) {
			t.Fatal("refused, for a reason that is not the signatures")
		}
	})
	for name, bend := range r.bends(t) {
		t.Run("H11 "+name, func(t *testing.T) {
			for i := range 6 {
				random := rand.New(rand.NewPCG(uint64(i), 11))
				head := r.top - uint64(i)
				bent := r.copied(t, head)
				bend(bent, random)
				lies := map[uint64]*types.LightBlock{head: bent}
				who := fmt.Sprintf("%s, case %d", name, i)
				// Both say it: nobody honest is left, and still the signatures are not there.
				cases++
				if trusted, ok := believed(t, r, replayedNodes{"a": {r: r, head: head, bent: lies}, "b": {r: r, head: head, bent: lies}}); ok || trusted.Hash != r.trust.Hash {
					accepted++
					t.Errorf("%s: both lie, and are believed", who)
				}
				// One says it: the other one's truth may be found, nothing else.
				cases++
				if trusted, ok := believed(t, r, replayedNodes{"a": {r: r, head: head, bent: lies}, "b": {r: r, head: head}}); r.falsely(trusted, ok) {
					accepted++
					t.Errorf("%s: one lies, and is believed", who)
				}
			}
		})
	}
	r.forks(t, &cases, &accepted)
	r.lags(t, &cases, &accepted)
	t.Run("Evidence with a wrong bit", func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 12))
		for range 150 {
			bad := bytes.Clone(r.evidence[r.top])
			bad[random.IntN(len(bad))] ^= 1 << random.IntN(8)
			cases++
			if _, ok := believed(t, r, replayedNodes{"a": {r: r, head: r.top, ev: bad}, "b": {r: r, head: r.top, ev: bad}}); ok {
				accepted++
				t.Error("believed")
			}
		}
	})
	if t.Logf("%d cases, %d false accepts", cases, accepted); cases < 200 || accepted > 0 {
		t.Fail()
	}
}

// TestForkInEvidenceAlone: validators sign a second history, and a node shows it to one reader in Evidence only, while it gives everybody
// the first one's headers. Who has seen both proofs halts.
func TestForkInEvidenceAlone(t *testing.T) {
	r := record(t, 3)
	raw, honest, bent := bytes.Clone(r.evidence[r.top]), r.blocks[r.top], r.copied(t, r.top)
	for _, v := range bent.ValidatorSet.Validators {
		if !bytes.Equal(v.Address, honest.ProposerAddress) {
			bent.Header.ProposerAddress = v.Address
		}
	}
	bent.Commit.BlockID.Hash = bent.Header.Hash()
	raw = bytes.Replace(raw, honest.ProposerAddress, bent.Header.ProposerAddress, 1)
	for i, s := range honest.Commit.Signatures {
		for _, key := range r.validators {
			if bytes.Equal(key.PubKey().Address(), s.ValidatorAddress) {
				signature, err := key.Sign(bent.Commit.VoteSignBytes(bent.ChainID, int32(i)))
				must(t, err)
				raw = bytes.Replace(raw, s.Signature, signature, 1)
			}
		}
	}
	if _, err := evidence.Check(raw, r.trust, time.Now()); err != nil {
		t.Fatal(err)
	}
	var alarms []error
	c := client(t, light.Config{Nodes: []string{"http://a", "http://b"}, Trust: r.trust, Alarm: func(err error) { alarms = append(alarms, err) },
		HTTP: &http.Client{Transport: replayedNodes{"a": {r: r, head: r.top, ev: raw}, "b": {r: r, head: r.top}}}})
	for range 2 {
		if _, _, err := c.TypeDigest(t.Context(), vct); !errors.Is(err, light.ErrAttack) {
			t.Errorf("H12 an answer: %v", err)
		}
	}
	if len(alarms) != 1 {
		t.Errorf("alarms: %v", alarms)
	}
}

// TestValidatorsChangedMeanwhile: a reader that was off while the validators were exchanged one by one, and follows nothing, still
// finds the way to the newest header: what an Evidence does not bridge, tracking does.
func TestValidatorsChangedMeanwhile(t *testing.T) {
	r := record(t, 6)
	keys := slices.Clone(r.validators)
	for range 5 {
		keys = append(keys, ed25519.GenPrivKey())
	}
	first := r.trust.Height + 1
	set := func(h uint64) []crypto.PrivKey { return keys[h-first:][:4] }
	changed := map[uint64]*types.LightBlock{}
	var sets types.LightBlock // for the hash of the next set
	for h := first; h <= r.top; h++ {
		lb := r.copied(t, h)
		theirs(lb, set(h))
		if h < r.top {
			sets.SignedHeader = &types.SignedHeader{Header: &types.Header{}}
			theirs(&sets, set(h+1))
			lb.NextValidatorsHash = sets.ValidatorsHash
		}
		sign(t, lb, set(h))
		changed[h] = lb
	}
	var parts []cbor.RawMessage
	must(t, cbor.Unmarshal(r.evidence[r.top], &parts))
	var tree []byte
	must(t, cbor.Unmarshal(parts[4], &tree))
	lb := changed[r.top]
	head := evidence.SignedHeader{Header: ourHeader(lb.Header), Commit: evidence.Commit{PartsTotal: lb.Commit.BlockID.PartSetHeader.Total, PartsHash: lb.Commit.BlockID.PartSetHeader.Hash, Round: uint32(lb.Commit.Round)}}
	var own evidence.ValidatorSet
	for i, v := range lb.ValidatorSet.Validators {
		own = append(own, evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower})
		head.Commit.Votes = append(head.Commit.Votes, evidence.Vote{Index: i, Time: lb.Commit.Signatures[i].Timestamp, Signature: lb.Commit.Signatures[i].Signature})
	}
	raw, err := evidence.Build(evidence.Material{ChainID: r.trust.ChainID, Headers: []evidence.SignedHeader{head}, Sets: []evidence.ValidatorSet{own}, State: evidence.StateProof{Tree: tree}})
	must(t, err)
	if _, err := evidence.Check(raw, r.trust, time.Now()); !errors.Is(err, registry.ErrUntrusted) {
		t.Fatalf("an Evidence alone: %v", err)
	}
	nodes := replayedNodes{"a": {r: r, head: r.top, bent: changed, ev: raw}, "b": {r: r, head: r.top, bent: changed, ev: raw}}
	if trusted, ok := believed(t, r, nodes); !ok || trusted.Height != r.top {
		t.Errorf("not believed; trusts %d of %d", trusted.Height, r.top)
	}
}

// falsely reports a trust point that no honest node has.
func (r *recording) falsely(trusted evidence.Trust, ok bool) bool {
	honest := r.blocks[trusted.Height]
	return honest == nil || [32]byte(honest.Hash()) != trusted.Hash || ok && trusted.Height == r.trust.Height
}

// forks are second histories that the validators' own keys signed.
func (r *recording) forks(t *testing.T, cases, accepted *int) {
	for keys := 2; keys <= 4; keys++ {
		t.Run(fmt.Sprintf("H12 %d of four keys sign a second history", keys), func(t *testing.T) {
			for i := range 8 {
				random := rand.New(rand.NewPCG(uint64(i), uint64(keys)))
				head := r.top - uint64(i%4)
				bent := r.copied(t, head)
				bent.Header.AppHash[random.IntN(32)] ^= 1
				some := r.validators[:keys]
				if keys == 2 { // more than a third of the trusted set, and all of a set of their own
					theirs(bent, some)
				}
				sign(t, bent, some)
				lies := map[uint64]*types.LightBlock{head: bent}
				for _, nodes := range []replayedNodes{
					{"a": {r: r, head: head, bent: lies}, "b": {r: r, head: head}},
					{"a": {r: r, head: head}, "b": {r: r, head: head, bent: lies}},
				} {
					*cases++
					if trusted, ok := believed(t, r, nodes); ok || r.falsely(trusted, ok) {
						*accepted++
						t.Error("believed, and somebody has signed the contrary")
					}
				}
			}
		})
	}
}

// lags are nodes that show the past as the present.
func (r *recording) lags(t *testing.T, cases, accepted *int) {
	t.Run("nodes that go back", func(t *testing.T) {
		for head := r.trust.Height + 1; head < r.top; head++ {
			nodes := replayedNodes{"a": {r: r, head: r.top}, "b": {r: r, head: r.top}}
			c := client(t, light.Config{Nodes: []string{"http://a", "http://b"}, Trust: r.trust, HTTP: &http.Client{Transport: nodes}})
			if _, _, err := c.TypeDigest(t.Context(), vct); !errors.Is(err, registry.ErrNotFound) {
				t.Fatal(err)
			}
			was := c.Trust()
			nodes["a"].head, nodes["b"].head = head, head
			time.Sleep(2 * time.Millisecond) // the cache's time is over
			*cases++
			_, checked, err := c.TypeDigest(t.Context(), vct)
			if c.Trust().Height < was.Height || checked.Height != 0 && checked.Height < was.Height || !errors.Is(err, registry.ErrNotFound) {
				*accepted++
				t.Errorf("went back from %d to %d: %v", was.Height, head, err)
			}
		}
	})
	t.Run("a header of the future", func(t *testing.T) {
		bent := r.copied(t, r.top)
		bent.Header.Time = time.Now().Add(time.Hour)
		sign(t, bent, r.validators)
		lies := map[uint64]*types.LightBlock{r.top: bent}
		*cases++
		if _, ok := believed(t, r, replayedNodes{"a": {r: r, head: r.top, bent: lies}, "b": {r: r, head: r.top, bent: lies}}); ok {
			*accepted++
			t.Error("believed")
		}
	})
}
