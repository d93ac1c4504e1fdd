package verifiertest

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/verifier"
)

// BenchCases are the rows of the verifier.
//
// oid4vp/direct_post.jwt-e2e is the verifier's part of one whole presentation over HTTP loopback with durable records and a
// status list of 1,000,000 entries: create the request, GET the request object, POST an encrypted answer, benchCallers at
// once. The wallet's work (verify the request, sign the key binding, encrypt) is done outside of the time. p50 and p99
// are those of single flows, per_s is per core; the floor is flowFloor.
//
// oid4vp/judge is the library alone: issuer bound, SD-JWT and key binding verified, status looked up in a list of
// 100,000 entries, policy evaluated. Its floor is two P-256 verifications.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "oid4vp/direct_post.jwt-e2e", New: benchFlow},
		{Name: "oid4vp/judge", New: benchJudge, Allocs: bench.AtMost(168)},
	}
}

const benchSet = 256

func benchJudge() (*bench.Loops, error) {
	w := New()
	v, err := verifier.New(w.Config())
	if err != nil {
		return nil, err
	}
	policies, err := verifier.BuiltinPolicies(nil)
	if err != nil {
		return nil, err
	}
	expect := verifier.Expect{Audience: "x509_hash:bench", Nonce: "bench-nonce", Now: w.Clock.Now()}
	texts := make([]string, benchSet)
	for i := range texts {
		texts[i] = w.Gaon.Issue(Resident(), nil).Present(expect.Audience, expect.Nonce, "age_over_19")
	}
	judge := func(text string) (verifier.Code, error) {
		s := verifier.Submission{Presentations: map[string][]string{"resident": {text}}}
		j, err := v.Judge(context.Background(), s, policies[0], expect)
		return j.Code, err
	}
	a := newArithmetic()
	return &bench.Loops{
		Op: func(i int) error {
			code, err := judge(texts[i%benchSet])
			if err == nil && code != verifier.Valid {
				err = fmt.Errorf("judged %s", code)
			}
			return err
		},
		Floor: func(int) error { return a.verify(2) },
		Corrupt: func(round int) error {
			code, err := judge(corrupt(texts[round%benchSet]))
			if err != nil || code != verifier.SignatureInvalid {
				return fmt.Errorf("judged %s: %w", code, errors.Join(err))
			}
			return nil
		},
	}, nil
}

// corrupt flips one character of the issuer's signature.
func corrupt(text string) string {
	at := strings.IndexByte(text, '~') - 10
	flipped := byte('A')
	if text[at] == flipped {
		flipped = 'B'
	}
	return text[:at] + string(flipped) + text[at+1:]
}

// arithmetic is the curve work of a flow on parsed keys and ready digests.
type arithmetic struct {
	key    *ecdsa.PrivateKey
	peer   *ecdh.PublicKey
	digest [32]byte
	sig    []byte
}

func newArithmetic() *arithmetic {
	a := &arithmetic{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), digest: sha256.Sum256([]byte("dojang"))}
	a.sig = must(ecdsa.SignASN1(rand.Reader, a.key, a.digest[:]))
	a.peer = must(ecdh.P256().GenerateKey(rand.Reader)).PublicKey()
	return a
}

func (a *arithmetic) sign(n int) error {
	for range n {
		if _, err := ecdsa.SignASN1(rand.Reader, a.key, a.digest[:]); err != nil {
			return err
		}
	}
	return nil
}

func (a *arithmetic) verify(n int) error {
	for range n {
		if !ecdsa.VerifyASN1(&a.key.PublicKey, a.digest[:], a.sig) {
			return errors.New("signature does not verify")
		}
	}
	return nil
}

// agree is one side of a key agreement: an ephemeral key and one multiplication.
func (a *arithmetic) agree() error {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, err = key.ECDH(a.peer)
	return err
}
