package sdjwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/keys"
)

// The workload W1 of the benchmark report: ES256, 20 claims that are all selectively disclosable, 3 disclosed, KB-JWT,
// x5c in the header. A holder parses once and presents often: present3 is the presentation of an opened credential,
// open20 is what opening its text costs, which comes on top when the credential was not at hand.
const (
	benchClaims = 20
	benchCopies = 256
)

// BenchCases are the rows sdjwt/issue20, sdjwt/present3, sdjwt/verify3kb, and what a further claim costs.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "sdjwt/issue20", New: func() (*bench.Loops, error) { return benchIssue(benchClaims) }, Allocs: bench.AtMost(64)},
		{Name: "sdjwt/present3", New: benchPresent, Allocs: bench.AtMost(73)},
		{Name: "sdjwt/open20", New: benchOpen, Allocs: bench.AtMost(35)},
		{Name: "sdjwt/verify3kb", New: func() (*bench.Loops, error) { return benchVerify(benchClaims, 3, true) }, Allocs: bench.AtMost(73)},
		bench.Scaling{Name: "scaling/issue-claims", Sizes: []int{1, 20, 200}, New: benchIssue, Exponent: 1, PerUnit: 600}.Case(),
		bench.Scaling{Name: "scaling/verify-claims", Sizes: []int{1, 20, 200}, Exponent: 1, PerUnit: 1200,
			New: func(n int) (*bench.Loops, error) { return benchVerify(n, n, false) }}.Case(),
	}
}

// benchSet is what all rows share: one issuer with its certificate, holders with their own keys.
type benchSet struct {
	issuer  keys.Signer
	head    *Head // of the issuer, encoded once as issuers do
	holders []keys.Signer
	now     time.Time
}

func newBenchSet() (*benchSet, error) {
	s := &benchSet{now: time.Unix(1763712000, 0).UTC(), holders: make([]keys.Signer, benchCopies)}
	var err error
	if s.issuer, err = keys.Generate(keys.ES256); err != nil {
		return nil, err
	}
	root, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	until := s.now.AddDate(1, 0, 0)
	ca, err := keys.NewRoot(keys.RootConfig{CommonName: "Bench Root", PermittedDNS: []string{"localhost"}, NotBefore: s.now, NotAfter: until, Key: root})
	if err != nil {
		return nil, err
	}
	leaf, err := ca.Issue(keys.LeafConfig{
		CommonName: "Bench Issuer", URI: benchDID, DNS: []string{"localhost"}, Key: s.issuer.Public(), NotBefore: s.now, NotAfter: until,
	})
	if err != nil {
		return nil, err
	}
	if s.head, err = NewHead(keys.Header{Alg: keys.ES256, Kid: benchDID + "#assertion-1", X5C: [][]byte{leaf}}); err != nil {
		return nil, err
	}
	for i := range s.holders {
		if s.holders[i], err = keys.Generate(keys.ES256); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const benchDID = "did:dojang:kr:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"

// credential i with n claims; every text differs from copy to copy.
func (s *benchSet) credential(i, n int) Credential {
	claims := make([]Claim, n)
	for j := range claims {
		claims[j] = Claim{Name: "claim_name_" + strconv.Itoa(j), Value: Text("value " + strconv.Itoa(i*n+j) + " of the claim"), SD: true}
	}
	return Credential{
		Head: s.head, Issuer: benchDID, VCT: "urn:dojang:kr:resident-id:1",
		NotBefore: s.now, Expires: s.now.AddDate(0, 0, 45), Holder: s.holders[i].Public(),
		Status: &StatusRef{URI: "http://localhost:8080/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG/3", Index: uint64(i)}, Claims: claims,
	}
}

func (s *benchSet) issue(i, n int) (string, error) {
	p, err := Prepare(s.credential(i, n), rand.Reader)
	if err != nil {
		return "", err
	}
	return p.Sign(s.issuer)
}

// floors are the physical limits of the same work: signatures over ready digests with parsed keys, as many different ones
// as there are credentials; a verification that is repeated with the same bytes teaches the processor its branches.
type floors struct {
	signed [benchCopies]signedDigest
	texts  [benchClaims][110]byte
}

type signedDigest struct {
	key    *ecdsa.PrivateKey
	digest [32]byte
	sig    []byte
}

func newFloors() (*floors, error) {
	f := &floors{}
	for i := range f.signed {
		s := &f.signed[i]
		var err error
		if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
		rand.Read(s.digest[:])
		if s.sig, err = ecdsa.SignASN1(rand.Reader, s.key, s.digest[:]); err != nil {
			return nil, err
		}
	}
	for i := range f.texts {
		rand.Read(f.texts[i][:])
	}
	return f, nil
}

func (f *floors) sign(i int) error {
	s := &f.signed[i%benchCopies]
	_, err := ecdsa.SignASN1(rand.Reader, s.key, s.digest[:])
	return err
}

func (f *floors) signAndHash(i int) error {
	for j := range f.texts {
		d := sha256.Sum256(f.texts[j][:])
		f.texts[j][0] = d[0]
	}
	return f.sign(i)
}

func (f *floors) verify(n int) func(int) error {
	return func(i int) error {
		for k := range n {
			s := &f.signed[(i+k)%benchCopies]
			if !ecdsa.VerifyASN1(&s.key.PublicKey, s.digest[:], s.sig) {
				return errors.New("floor signature does not verify")
			}
		}
		return nil
	}
}

func benchIssue(n int) (*bench.Loops, error) {
	s, err := newBenchSet()
	if err != nil {
		return nil, err
	}
	f, err := newFloors()
	if err != nil {
		return nil, err
	}
	credentials := make([]Credential, benchCopies)
	for i := range credentials {
		credentials[i] = s.credential(i, n)
	}
	return &bench.Loops{
		Op: func(i int) error {
			p, err := Prepare(credentials[i%benchCopies], rand.Reader)
			if err != nil {
				return err
			}
			_, err = p.Sign(s.issuer)
			return err
		},
		Floor: f.signAndHash,
		Corrupt: func(round int) error {
			bad := credentials[round%benchCopies]
			bad.Claims = append([]Claim{{Name: "_sd", Value: Text("x")}}, bad.Claims...)
			_, err := Prepare(bad, rand.Reader)
			return mustRefuse(err, ErrReserved)
		},
	}, nil
}

func benchPaths(n int) []Path {
	out := make([]Path, n)
	for i := range out {
		out[i] = Path{"claim_name_" + strconv.Itoa(i*5%benchClaims)}
	}
	return out
}

func (s *benchSet) binding(i int) KeyBinding {
	return KeyBinding{Audience: "x509_hash:tqGn1zQ0Jb0mBqOb1oq5V1KxvAg2kHyL5Dn3pQbS9cM", Nonce: "nonce-" + strconv.Itoa(i), IssuedAt: s.now}
}

// texts are the copies as a wallet stores them.
func (s *benchSet) texts(n int) ([]string, error) {
	texts := make([]string, benchCopies)
	var err error
	for i := range texts {
		if texts[i], err = s.issue(i, n); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func benchPresent() (*bench.Loops, error) {
	s, err := newBenchSet()
	if err != nil {
		return nil, err
	}
	f, err := newFloors()
	if err != nil {
		return nil, err
	}
	texts, err := s.texts(benchClaims)
	if err != nil {
		return nil, err
	}
	held := make([]*Held, benchCopies)
	for i := range held {
		if held[i], err = Open(texts[i]); err != nil {
			return nil, err
		}
	}
	paths := benchPaths(3)
	return &bench.Loops{
		Op: func(i int) error {
			_, err := held[i%benchCopies].Present(paths, s.binding(i), s.holders[i%benchCopies])
			return err
		},
		Floor: f.sign,
		Corrupt: func(round int) error {
			i := round % benchCopies
			_, err := held[i].Present([]Path{{"no_such_claim"}}, s.binding(i), s.holders[i])
			if err := mustRefuse(err, ErrSelection); err != nil {
				return err
			}
			_, err = held[i].Present(paths, s.binding(i), s.holders[(i+1)%benchCopies])
			return mustRefuse(err, HolderBindingInvalid)
		},
	}, nil
}

func benchOpen() (*bench.Loops, error) {
	s, err := newBenchSet()
	if err != nil {
		return nil, err
	}
	texts, err := s.texts(benchClaims)
	if err != nil {
		return nil, err
	}
	return &bench.Loops{
		Op: func(i int) error {
			_, err := Open(texts[i%benchCopies])
			return err
		},
		Corrupt: func(round int) error {
			text := []byte(texts[round%benchCopies])
			text[len(text)-10] ^= 1 // in the last disclosure
			_, err := Open(string(text))
			return mustRefuse(err, DisclosureInvalid)
		},
	}, nil
}

func benchVerify(n, disclosed int, bound bool) (*bench.Loops, error) {
	s, err := newBenchSet()
	if err != nil {
		return nil, err
	}
	f, err := newFloors()
	if err != nil {
		return nil, err
	}
	texts, err := s.texts(n)
	if err != nil {
		return nil, err
	}
	options := make([]Options, benchCopies)
	for i := range texts {
		kb := s.binding(i)
		options[i] = Options{Now: s.now, RequireKeyBinding: bound, Audience: kb.Audience, Nonce: kb.Nonce}
		if !bound {
			continue
		}
		h, err := Open(texts[i])
		if err != nil {
			return nil, err
		}
		if texts[i], err = h.Present(benchPaths(disclosed), kb, s.holders[i]); err != nil {
			return nil, err
		}
	}
	verify := func(i int, text string) error {
		u, err := Parse(text)
		if err != nil {
			return err
		}
		v, err := u.Verify(s.issuer.Public(), options[i])
		if err == nil && len(v.Claims().Members()) < disclosed {
			return errors.New("claims are missing")
		}
		return err
	}
	signatures := 1
	if bound {
		signatures = 2
	}
	return &bench.Loops{
		Op:    func(i int) error { return verify(i%benchCopies, texts[i%benchCopies]) },
		Floor: f.verify(signatures),
		Corrupt: func(round int) error {
			i := round % benchCopies
			text := []byte(texts[i])
			if bound {
				text[len(text)-20] ^= 1 // in the KB-JWT's signature
				return mustRefuse(verify(i, string(text)), HolderBindingInvalid)
			}
			text[len(text)-10] ^= 1 // in the last disclosure
			return mustRefuse(verify(i, string(text)), DisclosureInvalid)
		},
	}, nil
}

// mustRefuse is an error unless the corrupted input was refused for the right reason.
func mustRefuse(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("corrupted input: got %v, want %v", err, want)
}
