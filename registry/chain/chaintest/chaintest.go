// Package chaintest runs the state machine without an engine: validators that always agree make headers and commits, so
// that tests of the chain, of Evidence and of their readers have a whole registry in memory, and can tamper with it.
package chaintest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A TB is what stops a test: *testing.T, *testing.B, *rapid.T, or what BenchCases has.
type TB interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Cleanup(func())
}

// A Key is a deterministic Ed25519 key. It is a registry.Signer.
type Key struct{ private ed25519.PrivateKey }

// NewKey derives a key from a name.
func NewKey(name string) Key {
	seed := sha256.Sum256([]byte("chaintest key " + name))
	return Key{ed25519.NewKeyFromSeed(seed[:])}
}

// Sign implements registry.Signer.
func (k Key) Sign(message []byte) ([]byte, error) { return ed25519.Sign(k.private, message), nil }

// Public is the key for the chain.
func (k Key) Public() registry.PublicKey {
	p, err := registry.NewPublicKey(k.private.Public())
	if err != nil {
		panic(err) // an Ed25519 key always encodes
	}
	return p
}

// As is the key in a role.
func (k Key) As(role string) registry.SigningKey {
	return registry.SigningKey{Role: role, Public: k.Public(), Signer: k}
}

// Config of a Chain; the zero value is one member, one validator.
type Config struct {
	Members    int
	Threshold  int
	Validators int
	Genesis    func(*chain.Genesis) // last changes
	DB         iavldb.DB            // nil: memory
	Machine    chain.Config
}

// A Chain is a machine with agreeing validators. Not safe for concurrent use.
type Chain struct {
	TB         TB
	Machine    *chain.Machine
	Genesis    chain.Genesis
	Validators []Key
	Headers    []evidence.Header // Headers[i] is of height i+1
	Time       time.Time         // of the next block
	Step       time.Duration
	Executed   func(*chain.Machine) // nil, or called between Execute and Commit
	Blocks     map[uint64][][]byte  // transactions by height
	// Misbehaviours that the next block proves.
	Misbehaviours []chain.Misbehaviour
	nonce         uint64
	proposals     uint64
}

// Names of the network.
const (
	Network = "test"
	ChainID = "dojang-test-1"
)

// Begin is the time of the first block.
var Begin = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// New starts a chain; its first block is made.
func New(tb TB, cfg Config) *Chain {
	tb.Helper()
	c := Start(tb, cfg)
	c.Block()
	return c
}

// Start is New without the first block.
func Start(tb TB, cfg Config) *Chain {
	tb.Helper()
	if cfg.DB == nil {
		cfg.DB = chain.NewMemory()
	}
	c := &Chain{TB: tb, Time: Begin, Step: time.Second, Blocks: map[uint64][][]byte{}, Genesis: NewGenesis(max(cfg.Members, 1), max(cfg.Threshold, 1))}
	if cfg.Genesis != nil {
		cfg.Genesis(&c.Genesis)
	}
	for i := range max(cfg.Validators, 1) {
		c.Validators = append(c.Validators, NewKey(fmt.Sprint("validator ", i)))
	}
	m, err := chain.New(cfg.DB, cfg.Machine)
	if err == nil {
		_, err = m.InitGenesis(c.Genesis, 1)
	}
	if err != nil {
		tb.Fatal(err)
	}
	c.Machine = m
	tb.Cleanup(func() { _ = m.Close() })
	return c
}

// MemberID is the id of a member.
func MemberID(i int) string { return fmt.Sprint("member-", i) }

// Member is the governance key of a member, in its role.
func Member(i int) registry.SigningKey {
	return NewKey("governance " + MemberID(i)).As(registry.RoleMember(MemberID(i)))
}

// Sponsor is the gateway key of a member.
func Sponsor(i int) registry.SigningKey { return NewKey("sponsor " + MemberID(i)).As(MemberID(i)) }

// NewGenesis has n members, any k of which decide.
func NewGenesis(n, k int) chain.Genesis {
	g := chain.Genesis{
		Format: chain.GenesisFormat, Network: Network, ChainID: ChainID, Development: true, Threshold: uint64(k),
		QuotaOps: 0, QuotaBlocks: 10, EpochInterval: 1, Heartbeat: 1000,
	}
	for i := range n {
		gov, err1 := Member(i).Public.JWK()
		gate, err2 := Sponsor(i).Public.JWK()
		if err1 != nil || err2 != nil {
			panic("a key without JWK")
		}
		g.Members = append(g.Members, chain.GenesisMember{
			ID: MemberID(i), Name: map[string]string{"en": fmt.Sprint("Member ", i), "ko": fmt.Sprint("회원 ", i)},
			GovernanceKey: gov, SponsorKey: gate,
		})
	}
	return g
}

// Height of the newest block.
func (c *Chain) Height() uint64 { return c.Machine.Info().Height }

// Block executes and commits transactions in one block.
func (c *Chain) Block(txs ...[]byte) []chain.Result {
	c.TB.Helper()
	results, err := c.TryBlock(txs...)
	if err != nil {
		c.TB.Fatal(err)
	}
	return results
}

// TryBlock is Block for tests of what fails.
func (c *Chain) TryBlock(txs ...[]byte) ([]chain.Result, error) {
	h := c.nextHeader()
	results, _, err := c.Machine.Execute(chain.Block{Height: h.Height, Time: h.Time, Hash: h.Hash(), Point: h.Point().Nodes, Misbehaviours: c.Misbehaviours, Txs: txs})
	if err != nil {
		return nil, err
	}
	c.Misbehaviours = nil
	if c.Executed != nil {
		c.Executed(c.Machine)
	}
	if err := c.Machine.Commit(); err != nil {
		return nil, err
	}
	c.Blocks[h.Height] = txs
	c.Headers = append(c.Headers, h)
	c.Time = c.Time.Add(c.Step)
	return results, nil
}

// nextHeader is the header of the next block: it carries the app hash of the state before it.
func (c *Chain) nextHeader() evidence.Header {
	height := uint64(len(c.Headers) + 1)
	set := c.Set().Hash()
	h := evidence.Header{
		Block: 11, App: chain.AppVersion, ChainID: c.Genesis.ChainID, Height: height, Time: c.Time,
		LastCommit: digest("last commit", height), Data: digest("data", height), Validators: set[:], NextValidators: set[:],
		Consensus: digest("consensus", 0), AppHash: c.Machine.Info().AppHash, LastResults: digest("results", height),
		Evidence: digest("evidence", 0), Proposer: digest("proposer", height)[:20],
	}
	if height == 1 {
		h.AppHash = digest("genesis", 0)
	} else {
		last := c.Headers[height-2].Hash()
		h.LastBlock = evidence.BlockID{Hash: last[:], PartsTotal: 1, PartsHash: digest("parts", height-1)}
	}
	return h
}

func digest(what string, n uint64) []byte {
	d := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(what), n))
	return d[:]
}

// Set is the validator set.
func (c *Chain) Set() evidence.ValidatorSet {
	var s evidence.ValidatorSet
	for _, k := range c.Validators {
		s = append(s, evidence.Validator{PublicKey: [32]byte(k.private.Public().(ed25519.PublicKey)), Power: 10})
	}
	return s
}

// Sign makes the commit of all validators for a header.
func (c *Chain) Sign(h evidence.Header) evidence.SignedHeader {
	return SignWith(h, c.Validators)
}

// SignWith makes a commit by these validators, in this order of the set.
func SignWith(h evidence.Header, validators []Key) evidence.SignedHeader {
	s := evidence.SignedHeader{Header: h, Commit: evidence.Commit{PartsTotal: 1, PartsHash: digest("parts", h.Height)}}
	for i, k := range validators {
		t := h.Time.Add(time.Duration(i+1) * time.Millisecond)
		sig := ed25519.Sign(k.private, s.Commit.SignBytes(&h, t))
		s.Commit.Votes = append(s.Commit.Votes, evidence.Vote{Index: i, Time: t, Signature: sig})
	}
	return s
}

// Tx puts operations into a transaction of the first member.
func (c *Chain) Tx(operations ...[]byte) []byte {
	c.TB.Helper()
	c.nonce++
	return c.TxOf(0, c.nonce, operations...)
}

// TxOf is a transaction of a member with a nonce.
func (c *Chain) TxOf(member int, nonce uint64, operations ...[]byte) []byte {
	c.TB.Helper()
	tx, err := registry.Transaction{
		Network: c.Genesis.Network, ChainID: c.Genesis.ChainID, Sponsor: MemberID(member), Nonce: nonce, Operations: operations,
	}.Sign(Sponsor(member))
	if err != nil {
		c.TB.Fatal(err)
	}
	return tx
}

// Do executes operations in one block and returns their outcomes.
func (c *Chain) Do(operations ...[]byte) []registry.Outcome {
	c.TB.Helper()
	res := c.Block(c.Tx(operations...))[0]
	if res.Code != registry.CodeOK {
		c.TB.Fatalf("transaction refused: %s %s", res.Code, res.Detail)
	}
	return res.Operations
}

// Must is Do for operations that have to succeed.
func (c *Chain) Must(operations ...[]byte) {
	c.TB.Helper()
	for i, o := range c.Do(operations...) {
		if o.Code != string(registry.CodeOK) {
			c.TB.Fatalf("operation %d: %s %s", i, o.Code, o.Detail)
		}
	}
}

// Op signs an operation.
func (c *Chain) Op(op registry.Operation, keys ...registry.SigningKey) []byte {
	c.TB.Helper()
	if op.Network == "" {
		op.Network = c.Genesis.Network
	}
	if op.ChainID == "" {
		op.ChainID = c.Genesis.ChainID
	}
	b, err := op.Sign(keys...)
	if err != nil {
		c.TB.Fatal(err)
	}
	return b
}

// Trust is a trust file of height 1.
func (c *Chain) Trust() evidence.Trust {
	return evidence.Trust{
		Number: 1, Network: c.Genesis.Network, ChainID: c.Genesis.ChainID, Development: true, Height: 1, Hash: c.Headers[0].Hash(),
		Time: c.Headers[0].Time, TrustingPeriod: 30 * 24 * time.Hour, Validators: c.Set(),
	}
}

// Material makes the parts of an Evidence of the newest state, under a new empty block.
func (c *Chain) Material(q chain.Query) evidence.Material {
	c.TB.Helper()
	p, err := c.Machine.Prove(0, q)
	if err != nil {
		c.TB.Fatal(err)
	}
	c.Block()
	head := c.Headers[len(c.Headers)-1]
	m := evidence.Material{ChainID: c.Genesis.ChainID, State: p, Known: []evidence.ValidatorSet{c.Set()}}
	for _, h := range p.Points {
		m.Points = append(m.Points, c.Headers[h-1])
	}
	if p.Loose != 0 && p.Loose != head.Height {
		m.Headers = append(m.Headers, c.Sign(c.Headers[p.Loose-1]))
	}
	m.Headers = append(m.Headers, c.Sign(head))
	return m
}

// Evidence of the newest state.
func (c *Chain) Evidence(q chain.Query) []byte {
	c.TB.Helper()
	b, err := evidence.Build(c.Material(q))
	if err != nil {
		c.TB.Fatal(err)
	}
	return b
}

// Now is a moment after the newest block.
func (c *Chain) Now() time.Time { return c.Time }

// Shown are the facts of a state proof of the newest state, checked under a header made for it.
func Shown(tb TB, c *Chain, p evidence.StateProof) *evidence.Facts {
	tb.Helper()
	h := c.nextHeader()
	b, err := evidence.Build(evidence.Material{ChainID: c.Genesis.ChainID, Headers: []evidence.SignedHeader{c.Sign(h)}, State: evidence.StateProof{Tree: p.Tree}})
	if err != nil {
		tb.Fatal(err)
	}
	f, err := evidence.Check(b, c.Trust(), h.Time)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}
