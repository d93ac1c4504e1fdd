package chain_test

import (
	"errors"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// What became of an operation is told by the machine and proven by Evidence alike; a create is proven by its DID.
func TestOutcome(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a, other := c.NewAgency("gaon"), c.Agency("naru")
	create := c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))
	hash := hashOf(t, create)
	bent := append([]byte{}, create...)
	bent[len(bent)-1] ^= 1

	check := func(name string, h registry.Hash, want registry.Outcome, wantErr error, leaves int) {
		t.Helper()
		facts, err := evidence.Check(c.Evidence(chain.Query{Operations: []registry.Hash{h}}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		proven, errProven := facts.Outcome(h)
		told, errTold := c.Machine.Outcome(h)
		if !errors.Is(errProven, wantErr) || !errors.Is(errTold, wantErr) {
			t.Fatalf("%s: %v, %v", name, errProven, errTold)
		}
		if wantErr == nil && (proven.Code != want.Code || proven.Height != want.Height || told.Code != want.Code || told.Height != want.Height) {
			t.Fatalf("%s: proven %+v, told %+v, want %+v", name, proven, told, want)
		}
		about := 0
		for _, k := range facts.Keys() {
			if k == string(registry.OutcomeKey(h)) || k == string(registry.CreatedFamily(h).Latest()) {
				about++
			}
		}
		if about != leaves {
			t.Errorf("%s: %d leaves shown, want %d", name, about, leaves)
		}
	}
	ok := func(height uint64) registry.Outcome {
		return registry.Outcome{Code: string(registry.CodeOK), Height: height}
	}

	check("never heard of", hash, registry.Outcome{}, registry.ErrNotFound, 0)
	if got := c.Do(bent)[0].Code; got != string(registry.CodeBadSignature) {
		t.Fatal(got)
	}
	failed := c.Height()
	check("refused create", hash, registry.Outcome{Code: string(registry.CodeBadSignature), Height: failed}, nil, 1)

	c.Must(create)
	created := c.Height()
	check("the same create signed well", hash, ok(created), nil, 1)
	if got := c.Do(create)[0]; got.Code != string(registry.CodeDuplicate) || got.Height != created {
		t.Fatalf("executed again: %+v", got)
	}
	update := c.Op(a.Next(&registry.UpdateBody{Remove: []string{"status"}}), a.Op(0).As(registry.RoleOp))
	c.Must(update)
	updated := c.Height()
	check("a create whose DID has changed since", hash, ok(created), nil, 1)
	check("update", hashOf(t, update), ok(updated), nil, 1)
	refusedUpdate := c.Op(other.Next(&registry.UpdateBody{Remove: []string{"nothing"}}), other.Op(0).As(registry.RoleOp))
	code, refused := c.Do(refusedUpdate)[0].Code, c.Height()
	if code == string(registry.CodeOK) {
		t.Fatal("a service that is not there was removed")
	}
	check("refused update", hashOf(t, refusedUpdate), registry.Outcome{Code: code, Height: refused}, nil, 1)

	// The booked failure alone, or its absence alone, says nothing about what came of a create.
	for name, h := range map[string]registry.Hash{"refused once": hash, "never refused": hashOf(t, c.Op(other.CreateOperation(), other.Op(0).As(registry.RoleOp)))} {
		facts, err := evidence.Check(c.Evidence(chain.Query{Raw: [][]byte{registry.OutcomeKey(h)}}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := facts.Outcome(h); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hashOf(t *testing.T, operation []byte) registry.Hash {
	t.Helper()
	op, err := registry.ParseOperation(operation)
	if err != nil {
		t.Fatal(err)
	}
	return op.Hash
}
