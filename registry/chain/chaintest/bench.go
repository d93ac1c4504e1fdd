package chaintest

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// BenchCases are the rows of the registry's core: proofs, Evidence, execution without an engine.
//
// stapled/evidence-cold and -cached are a whole stapled check, offline: SD-JWT VC with 3 of 20 claims and key binding, under
// Evidence of three keys (issuer's key, accreditation, status epoch) out of 100,000 with 4 validators. Cold, the floor is
// its signatures: 2 P-256 and the 3 Ed25519 votes; with the header cached, the 2 P-256.
func BenchCases() []bench.Case {
	cases := []bench.Case{
		{Name: "stapled/evidence-cold", New: func() (*bench.Loops, error) { return evidenceLoops(100_000, false) }},
		{Name: "stapled/evidence-cached", New: func() (*bench.Loops, error) { return evidenceLoops(100_000, true) }},
		{Name: "registry/execute", New: executeLoops},
	}
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		cases = append(cases, bench.Case{Name: fmt.Sprintf("registry/proof-verify-1e%d", len(fmt.Sprint(n))-1), Full: n > 1e5, New: func() (*bench.Loops, error) { return proofLoops(n) }})
	}
	return cases
}

// stopper is a TB for cases: what a test would call a failure, a case returns as an error.
type stopper struct{ cleanups []func() }

type stopped struct{ err error }

func (*stopper) Helper()                        {}
func (*stopper) Fatal(a ...any)                 { panic(stopped{errors.New(fmt.Sprint(a...))}) }
func (*stopper) Fatalf(format string, a ...any) { panic(stopped{fmt.Errorf(format, a...)}) }
func (s *stopper) Cleanup(f func())             { s.cleanups = append(s.cleanups, f) }
func (s *stopper) close() {
	for _, f := range s.cleanups {
		f()
	}
}

func (s *stopper) run(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			st, ok := r.(stopped)
			if !ok {
				panic(r)
			}
			err = st.err
		}
	}()
	f()
	return nil
}

// A Staple is a presentation and an Evidence of what it needs, out of a large state.
type Staple struct {
	Evidence     []byte
	Presentation string // SD-JWT+KB
	Trust        evidence.Trust
	Now          time.Time
	DID          registry.DID
	Type         string
	Votes        []ed25519Vote // what has to be verified cold
}

type ed25519Vote struct {
	key       ed25519.PublicKey
	message   []byte
	signature []byte
}

const benchType = "urn:dojang:kr:resident-id:1"

// NewStaples makes Evidence of issuer key, accreditation and status epoch for each of some agencies, under one head of
// 4 validators, out of one state of n more leaves.
func NewStaples(count, n int) ([]Staple, error) {
	s := &stopper{}
	defer s.close()
	var out []Staple
	err := s.run(func() {
		c := New(s, Config{Validators: 4})
		queries := make([]chain.Query, count)
		issuers := make([]*benchIssuer, count)
		for i := range queries {
			a := c.Agency(fmt.Sprint("agency ", i))
			issuers[i] = newBenchIssuer(s, a)
			a.Accredit(benchType)
			a.Epoch()
			queries[i] = chain.Query{
				Keys: []chain.KeyRef{{DID: a.DID, ID: benchKeyID}}, Status: []registry.DID{a.DID},
				Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: benchType}},
			}
		}
		materials := make([]evidence.Material, count)
		show := make([]map[string][]byte, count)
		leaves := others(n)
		seen := map[string]bool{}
		for i, q := range queries {
			materials[i] = c.Material(q)
			show[i] = shownBy(s, c, materials[i], queries[i])
			for k, v := range show[i] {
				if !seen[k] {
					seen[k] = true
					leaves = append(leaves, bigLeaf{[]byte(k), v})
				}
			}
		}
		big := newBigTree(leaves)
		head := c.Headers[len(c.Headers)-1]
		root := big.root()
		head.AppHash = root[:]
		signed := c.Sign(head)
		var votes []ed25519Vote
		for j, v := range signed.Commit.Votes[:3] {
			votes = append(votes, ed25519Vote{ed25519.PublicKey(c.Validators[j].Public()[10:]), signed.Commit.SignBytes(&head, v.Time), v.Signature})
		}
		for i, m := range materials {
			tree, err := big.show(show[i])
			if err != nil {
				s.Fatal(err)
			}
			m.State.Tree, m.Headers = tree, []evidence.SignedHeader{signed}
			b, err := evidence.Build(m)
			if err != nil {
				s.Fatal(err)
			}
			out = append(out, Staple{
				Evidence: b, Presentation: issuers[i].present(s, c.Now()), Trust: c.Trust(), Now: c.Now(), DID: queries[i].Status[0],
				Type: benchType, Votes: votes,
			})
		}
	})
	return out, err
}

// shownBy are the leaves that an Evidence shows.
func shownBy(s *stopper, c *Chain, m evidence.Material, q chain.Query) map[string][]byte {
	small, err := evidence.Build(m)
	if err != nil {
		s.Fatal(err)
	}
	f, err := evidence.Check(small, c.Trust(), c.Now())
	if err != nil {
		s.Fatal(err)
	}
	show := map[string][]byte{}
	did := q.Status[0]
	for _, k := range [][]byte{
		registry.KeyFamily(did, benchKeyID).Latest(), registry.StatusFamily(did).Latest(),
		registry.AccreditationFamily(did, benchType, 1).Latest(), registry.HeaderRootKey(),
	} {
		if show[string(k)], err = f.Get(k); err != nil {
			s.Fatal(err)
		}
	}
	return show
}

// A stapleChecker judges staples as a verifier does: parsed issuer keys are kept, verdicts are not.
type stapleChecker struct {
	headers evidence.HeaderCache
	parsed  map[string]*keys.PublicKey
}

func (v *stapleChecker) check(s *Staple) error {
	f, err := evidence.Checker{Trust: s.Trust, Headers: v.headers}.Check(s.Evidence, s.Now)
	if err != nil {
		return err
	}
	ctx := context.Background()
	fact, _, err := f.Key(ctx, s.DID, benchKeyID, s.Now)
	if err != nil {
		return err
	}
	if a, _, err := f.Accreditation(ctx, s.DID, s.Type, s.Now); err != nil || !a.InForce(s.Now) {
		return errors.Join(errors.New("not accredited"), err)
	}
	if _, _, err := f.StatusEpoch(ctx, s.DID); err != nil {
		return err
	}
	key := v.parsed[string(fact.JWK)]
	if key == nil {
		if key, err = keys.ParseJWK(fact.JWK); err != nil {
			return err
		}
		v.parsed[string(fact.JWK)] = key
	}
	token, err := sdjwt.Parse(s.Presentation)
	if err != nil {
		return err
	}
	_, err = token.Verify(key, sdjwt.Options{Now: s.Now, Required: []string{"iss"}, RequireKeyBinding: true, Audience: benchAudience, Nonce: benchNonce})
	return err
}

func evidenceLoops(n int, cached bool) (*bench.Loops, error) {
	staples, err := NewStaples(256, n)
	if err != nil {
		return nil, err
	}
	v := &stapleChecker{parsed: map[string]*keys.PublicKey{}}
	if cached {
		v.headers = new(evidence.Headers)
	}
	for i := range staples { // issuers' keys are known, and with a cache the header
		if err := v.check(&staples[i]); err != nil {
			return nil, err
		}
	}
	floor, err := p256Floor(2)
	if err != nil {
		return nil, err
	}
	if !cached {
		twoP256 := floor
		floor = func(i int) error {
			for _, v := range staples[i%len(staples)].Votes {
				if !ed25519.Verify(v.key, v.message, v.signature) {
					return errors.New("a vote does not hold")
				}
			}
			return twoP256(i)
		}
	}
	return &bench.Loops{
		Floor:   floor,
		Op:      func(i int) error { return v.check(&staples[i%len(staples)]) },
		Corrupt: func(round int) error { return v.refuses(staples[round]) },
	}, nil
}

// refuses a changed Evidence, a changed issuer's signature and a changed holder's.
func (v *stapleChecker) refuses(s Staple) error {
	for _, bend := range []func(*Staple){
		func(s *Staple) { s.Evidence = slices.Clone(s.Evidence); s.Evidence[len(s.Evidence)/2] ^= 1 },
		func(s *Staple) { s.Presentation = bendAt(s.Presentation, strings.IndexByte(s.Presentation, '~')-10) },
		func(s *Staple) { s.Presentation = bendAt(s.Presentation, len(s.Presentation)-10) },
	} {
		bent := s
		bend(&bent)
		if v.check(&bent) == nil {
			return errors.New("changed input accepted")
		}
	}
	return nil
}

func bendAt(text string, i int) string {
	c := byte('A')
	if text[i] == c {
		c = 'B'
	}
	return text[:i] + string(c) + text[i+1:]
}

// p256Floor verifies k P-256 signatures on a parsed key and a ready digest.
func p256Floor(k int) (func(int) error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte("floor"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	return func(int) error {
		for range k {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
				return errors.New("floor signature does not hold")
			}
		}
		return nil
	}, nil
}

// proofLoops verifies one leaf's proof, parsing included; the floor is the SHA-256 of its path alone.
func proofLoops(n int) (*bench.Loops, error) {
	const distinct = 256
	trees, depth := make([][]byte, distinct), 1
	for 1<<depth < n {
		depth++
	}
	leaves := others(n - distinct)
	value := leaves[0].value
	mine := make([]map[string][]byte, distinct)
	for i := range mine {
		id := registry.HashOf([]byte(fmt.Sprint("mine ", i)))
		key := "d/" + id.String() + "/key/k1/latest"
		mine[i] = map[string][]byte{key: value}
		leaves = append(leaves, bigLeaf{[]byte(key), value})
	}
	big := newBigTree(leaves)
	root := big.root()
	for i := range trees {
		var err error
		if trees[i], err = big.show(mine[i]); err != nil {
			return nil, err
		}
	}
	verify := func(tree []byte) error {
		got, err := evidence.Root(tree)
		if err == nil && got != root {
			err = errors.New("another root")
		}
		return err
	}
	var block [74]byte
	return &bench.Loops{
		Op: func(i int) error { return verify(trees[i%distinct]) },
		Floor: func(i int) error {
			h := sha256.Sum256(value)
			for range depth + 1 {
				copy(block[:], h[:])
				h = sha256.Sum256(block[:])
			}
			return nil
		},
		Corrupt: func(round int) error {
			bad := slices.Clone(trees[round])
			bad[len(bad)/2] ^= 1
			if verify(bad) == nil {
				return errors.New("changed proof accepted")
			}
			return nil
		},
	}, nil
}

// executeLoops registers identifiers: 100 operations a transaction, 5 transactions a block; the unit is one operation,
// the floor one Ed25519 verification and one set of the bare tree.
func executeLoops() (*bench.Loops, error) {
	const perTx, txs, blocks = 100, 5, 40
	s := &stopper{}
	var c *Chain
	all := make([][][]byte, blocks)
	reset := func() error { return s.run(func() { c = New(s, Config{}) }) }
	if err := reset(); err != nil {
		return nil, err
	}
	err := s.run(func() {
		for b := range blocks {
			for range txs {
				ops := make([][]byte, perTx)
				for i := range ops {
					k := NewKey(fmt.Sprint("bench ", b, " ", c.nonce, " ", i))
					commitment := k.Public().Hash()
					commitment[5]++
					recovery := commitment
					recovery[5]++
					ops[i] = c.Op(registry.Operation{Body: &registry.CreateBody{Op: k.Public(), Next: commitment, Recovery: recovery}}, k.As(registry.RoleOp))
				}
				all[b] = append(all[b], c.Tx(ops...))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	key := NewKey("floor")
	message := []byte("a message as long as an operation is, more or less, so that hashing it costs the same")
	sig, err := key.Sign(message)
	if err != nil {
		return nil, err
	}
	tree := iavl.NewMutableTree(iavldb.NewMemDB(), 20_000, true, iavl.NewNopLogger())
	next := 0
	return &bench.Loops{
		Per: perTx * txs,
		Op: func(int) error {
			if next == blocks {
				next = 0
				s.close()
				s.cleanups = nil
				if err := reset(); err != nil {
					return err
				}
			}
			txs := all[next]
			next++
			results, err := c.TryBlock(txs...)
			if err == nil && (results[0].Code != registry.CodeOK || results[0].Operations[0].Code != string(registry.CodeOK)) {
				err = errors.New("refused")
			}
			return err
		},
		Floor: func(i int) error { return executeFloor(tree, i, key.Public(), message, sig) },
		Close: s.close,
	}, nil
}

// executeFloor is timed per call; it has no Per of its own, so that one call is one operation.
func executeFloor(tree *iavl.MutableTree, i int, key registry.PublicKey, message, sig []byte) error {
	if err := key.Verify(message, sig); err != nil {
		return err
	}
	id := registry.HashOf([]byte(fmt.Sprint(i)))
	if _, err := tree.Set(id[:], message); err != nil {
		return err
	}
	if i%500 == 499 {
		if _, _, err := tree.SaveVersion(); err != nil {
			return err
		}
	}
	return nil
}
