package chaintest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

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

// An ed25519Vote is a signature to verify.
type ed25519Vote struct {
	key       ed25519.PublicKey
	message   []byte
	signature []byte
}

const benchType = "urn:dojang:kr:resident-id:1"

// StaplesConfig of NewStaples.
type StaplesConfig struct {
	Count      int // of agencies, one staple each
	Leaves     int // more in the state
	Validators int
	Epoch      func(*Agency) // writes its status epoch; nil: any
}

// NewStaples makes Evidence of issuer key, accreditation and status epoch for each of some agencies, under one head, out of
// one large state.
func NewStaples(cfg StaplesConfig) ([]Staple, error) {
	s := &stopper{}
	defer s.close()
	var out []Staple
	err := s.run(func() {
		c := New(s, Config{Validators: cfg.Validators})
		queries := make([]chain.Query, cfg.Count)
		issuers := make([]*benchIssuer, cfg.Count)
		for i := range queries {
			a := c.Agency(fmt.Sprint("agency ", i))
			issuers[i] = newBenchIssuer(s, a)
			a.Accredit(benchType)
			if cfg.Epoch != nil {
				cfg.Epoch(a)
			} else {
				a.Epoch()
			}
			queries[i] = chain.Query{
				Keys: []chain.KeyRef{{DID: a.DID, ID: benchKeyID}}, Status: []registry.DID{a.DID},
				Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: benchType}},
			}
		}
		materials := make([]evidence.Material, cfg.Count)
		show := make([]map[string][]byte, cfg.Count)
		leaves := others(cfg.Leaves)
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
		votes := c.neededVotes(signed)
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

// neededVotes are as many of a header as Build keeps: more than two thirds.
func (c *Chain) neededVotes(signed evidence.SignedHeader) []ed25519Vote {
	var votes []ed25519Vote
	for j, v := range signed.Commit.Votes[:len(c.Validators)*2/3+1] {
		key := c.Validators[j].private.Public().(ed25519.PublicKey)
		votes = append(votes, ed25519Vote{key, signed.Commit.SignBytes(&signed.Header, v.Time), v.Signature})
	}
	return votes
}

func verifyVotes(votes []ed25519Vote) error {
	for _, v := range votes {
		if !ed25519.Verify(v.key, v.message, v.signature) {
			return errors.New("a vote does not hold")
		}
	}
	return nil
}
