package chaintest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// BenchCases are the rows of the registry's core: proofs, headers, Evidence, without engine and network.
//
// stapled/offline-verify is a whole stapled check: SD-JWT VC with 3 of 20 claims and key binding, under Evidence of three
// keys (issuer's key, accreditation, status epoch) out of 100,000 with 4 validators; its floor is its signatures, 2 P-256
// and the needed Ed25519 votes. /cached knows the header: the floor is the 2 P-256. /1, /20 and /100 are other numbers of
// validators.
//
// registry/resolve+proof verifies one leaf's proof out of 100,000, parsing included, beside the SHA-256 of its path.
//
// registry/light-header is a header from bytes to trusted: its floor is the needed votes. /cached has seen the header: its
// floor is hashing the header.
func BenchCases() []bench.Case {
	stapled := func(validators int, cached bool) func() (*bench.Loops, error) {
		return func() (*bench.Loops, error) {
			return evidenceLoops(StaplesConfig{Count: 256, Leaves: 100_000, Validators: validators}, cached)
		}
	}
	proof := func(n int) func() (*bench.Loops, error) {
		return func() (*bench.Loops, error) { return proofLoops(n) }
	}
	cases := []bench.Case{
		{Name: "stapled/offline-verify", New: stapled(4, false), Allocs: bench.AtMost(120)},
		{Name: "stapled/offline-verify/cached", New: stapled(4, true), Allocs: bench.AtMost(120)},
		{Name: "stapled/offline-verify/1", New: stapled(1, false), Long: true},
		{Name: "stapled/offline-verify/20", New: stapled(20, false), Long: true},
		{Name: "stapled/offline-verify/100", New: stapled(100, false), Long: true},
		{Name: "registry/resolve+proof", New: proof(1e5), Allocs: bench.AtMost(1)},
		{Name: "registry/resolve+proof/1e3", New: proof(1e3), Long: true},
		{Name: "registry/resolve+proof/1e4", New: proof(1e4), Long: true},
		{Name: "registry/resolve+proof/1e6", New: proof(1e6), Full: true},
		bench.Scaling{Name: "scaling/proof-verify", Sizes: []int{1e3, 1e4, 1e5}, Full: []int{1e6}, New: proofLoops, Exponent: bench.Growth(2.2, 1e3)}.Case(),
		{Name: "registry/evidence-size", New: sizeLoops, Long: true},
	}
	for _, v := range []int{4, 20, 100} {
		for _, cached := range []bool{false, true} {
			name := fmt.Sprint("registry/light-header/", v)
			if cached {
				name += "/cached"
			}
			cases = append(cases, bench.Case{Name: name, Long: true, New: func() (*bench.Loops, error) { return headerLoops(v, cached) }})
		}
	}
	return append(cases, bench.Scaling{Name: "scaling/header-validators", Sizes: []int{1, 4, 20, 100}, Exponent: 1,
		New: func(v int) (*bench.Loops, error) { return headerLoops(v, false) }}.Case())
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

func evidenceLoops(cfg StaplesConfig, cached bool) (*bench.Loops, error) {
	staples, err := NewStaples(cfg)
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
			if err := verifyVotes(staples[i%len(staples)].Votes); err != nil {
				return err
			}
			return twoP256(i)
		}
	}
	return &bench.Loops{
		Extra:   map[string]float64{"evidence_bytes": float64(len(staples[0].Evidence)), "presentation_bytes": float64(len(staples[0].Presentation))},
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
		Extra: map[string]float64{"proof_bytes": float64(len(trees[0]))},
		Op:    func(i int) error { return verify(trees[i%distinct]) },
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
