package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmtcfg "github.com/cometbft/cometbft/config"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// stopped is a node with some history that has ended cleanly.
func stopped(t *testing.T) string {
	t.Helper()
	l := localnet(t, 1, 100*time.Millisecond)
	n := l.Nodes[0]
	raw, did, op := create(t, n)
	prev := submitOK(t, n, raw)[0].Hash
	for seq := uint64(1); seq < 5; seq++ {
		hash, err := registry.ParseHash(prev)
		if err != nil {
			t.Fatal(err)
		}
		o := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), DID: did, Seq: seq, Prev: hash, Body: &registry.UpdateBody{
			Services: []registry.Service{{ID: string(rune('a' + seq)), Type: "T", Endpoint: "https://a.example"}}}}
		raw, err := o.Sign(op)
		if err != nil {
			t.Fatal(err)
		}
		prev = submitOK(t, n, raw)[0].Hash
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n.cfg.Home
}

func rows(t *testing.T, home string) map[string]Row {
	t.Helper()
	found, err := Fsck(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Row{}
	for _, r := range found {
		out[r.ID] = r
	}
	return out
}

func TestFsck(t *testing.T) {
	home := stopped(t)
	for id, r := range rows(t, home) {
		if r.Violations != 0 || r.Checked == 0 && id != "registry/lists" && id != "registry/archive" {
			t.Errorf("%+v", r)
		}
	}
	l := localnet(t, 1, 100*time.Millisecond)
	if _, err := Fsck(t.Context(), l.Nodes[0].cfg.Home); err == nil {
		t.Error("a running node was checked")
	}
}

// TestFsckFinds bends one thing at a time.
func TestFsckFinds(t *testing.T) {
	for _, c := range []struct {
		name, row string
		bend      func(t *testing.T, home string)
	}{
		{"a block replaced by another", "registry/blocks", func(t *testing.T, home string) {
			engineRecord(t, home, "blockstore", func(key, value []byte) []byte {
				if !bytes.HasPrefix(key, []byte("P:3:")) {
					return nil
				}
				value = bytes.Clone(value)
				value[len(value)/2] ^= 1
				return value
			})
		}},
		{"a header that the state remembers differently", "registry/headers", func(t *testing.T, home string) {
			chainRecord(t, home, []byte("x/h/\x00\x00\x00\x00\x00\x00\x00\x03"), func(b []byte) { b[5] ^= 1 })
		}},
		{"the sign state of a backup", "registry/sign-state", func(t *testing.T, home string) {
			path := filepath.Join(home, "validator_state.json")
			if err := os.WriteFile(path, []byte(`{"height":"0","round":0,"step":0}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"a sign state cut short", "registry/sign-state", func(t *testing.T, home string) {
			if err := os.Truncate(filepath.Join(home, "validator_state.json"), 10); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := stopped(t)
			c.bend(t, home)
			for id, r := range rows(t, home) {
				if (r.Violations > 0) != (id == c.row) {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func engineRecord(t *testing.T, home, store string, bend func(key, value []byte) []byte) {
	t.Helper()
	dbs := databases{dir: filepath.Join(home, dataDir)}
	db, err := dbs.provide(&cmtcfg.DBContext{ID: store})
	if err != nil {
		t.Fatal(err)
	}
	it, err := db.Iterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for ; it.Valid(); it.Next() {
		if v := bend(it.Key(), it.Value()); v != nil {
			if err := db.SetSync(bytes.Clone(it.Key()), v); err != nil {
				t.Fatal(err)
			}
			changed++
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	if err := dbs.close(); err != nil || changed == 0 {
		t.Fatalf("%d records changed, %v", changed, err)
	}
}

func chainRecord(t *testing.T, home string, key []byte, bend func([]byte)) {
	t.Helper()
	db, err := chain.Open(filepath.Join(home, dataDir, "chain"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := db.Get(key)
	if err != nil || value == nil {
		t.Fatalf("record: %v", err)
	}
	value = bytes.Clone(value)
	bend(value)
	batch := db.NewBatch()
	if err := batch.Set(key, value); err != nil {
		t.Fatal(err)
	}
	if err := batch.WriteSync(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFsckFindsForgottenEpochs: an epoch that the archive's cursor has passed is there or in the queue.
func TestFsckFindsForgottenEpochs(t *testing.T) {
	l := localnet(t, 1, 100*time.Millisecond)
	n := l.Nodes[0]
	op, key := newKey(t, registry.RoleOp), newKey(t, "")
	o := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: &registry.CreateBody{Op: op.Public, Next: newKey(t, "").Public.Hash(), Recovery: newKey(t, "").Public.Hash(),
		Keys: []registry.NewKey{{ID: "k", Use: registry.UseAssertion, Key: key.Public}}}}
	did, err := o.CreatedDID()
	if err != nil {
		t.Fatal(err)
	}
	do := func(o registry.Operation, key registry.SigningKey) {
		t.Helper()
		o.Network, o.ChainID = n.Network(), n.ChainID()
		raw, err := o.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		submitOK(t, n, raw)
	}
	do(o, op)
	key.Role = did.URL("k")
	begin := time.Now().Add(-time.Minute).Unix()
	epoch := func(sequence uint64) {
		t.Helper()
		do(registry.Operation{DID: did, Seq: sequence, Body: &registry.EpochBody{IssuedAt: begin + int64(sequence), NextUpdate: begin + 3600, Root: [32]byte{byte(sequence)}}}, key)
	}
	epoch(1)
	epoch(2) // stood when it was accredited
	member, err := registry.NewPublicKey(l.Governance["member-1"].Public())
	if err != nil {
		t.Fatal(err)
	}
	do(registry.Operation{DID: did, Body: &registry.AccreditBody{Type: "urn:test", N: 1, Basis: []string{"test"}, Host: "https://status.example", From: begin}},
		registry.SigningKey{Role: registry.RoleMember("member-1"), Public: member, Signer: edSigner(l.Governance["member-1"])})
	epoch(3)
	epoch(4)
	var leaves []chain.StatusLeaf
	if err := n.run.Load().machine.ReplacedStatus(did, 0, func(l chain.StatusLeaf) bool { leaves = append(leaves, l); return true }); err != nil || len(leaves) != 3 {
		t.Fatalf("%+v %v", leaves, err)
	}
	if since, err := n.run.Load().machine.AccreditedSince(did); err != nil || since <= leaves[1].Since || since >= leaves[1].Until {
		t.Fatalf("accredited since %d: %v", since, err)
	}
	if _, err := n.run.Load().machine.AccreditedSince(agency); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("somebody else: %v", err)
	}
	home := n.cfg.Home
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, violations int64) {
		t.Helper()
		if r := rows(t, home)["registry/archive"]; r.Violations != violations {
			t.Errorf("%s: %+v", what, r)
		}
	}
	change := func(f func(a *archive) error) {
		t.Helper()
		a, err := openArchive(filepath.Join(home, "status"), slog.New(slog.DiscardHandler))
		if err == nil {
			err = errors.Join(f(a), a.close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	check("not looked at", 0)
	change(func(a *archive) error {
		return a.db.SetSync(cursorKey(did), binary.BigEndian.AppendUint64(nil, leaves[2].Since+1))
	})
	check("forgotten", 2) // but for the one from before the accreditation
	change(func(a *archive) error {
		return errors.Join(a.db.SetSync(queueKey(did, leaves[1].Since), leaves[1].Root[:]), a.db.SetSync(queueKey(did, leaves[2].Since), leaves[2].Root[:]))
	})
	check("queued", 0)
	change(func(a *archive) error {
		if n := a.missing.Load(); n != 2 {
			t.Errorf("%d are missing", n)
		}
		return nil
	})
}

// Whoever may write an anchor or a claim chooses 32 bytes of its leaf's key.
func TestFamilyOf(t *testing.T) {
	const did, chosen = registry.DID("did:dojang:local:QmX"), "0123456789abcdef012345678/latest"
	at := []byte("0123456789abcdef0123/at/\x00\x00\x00\x00\x00\x00\x00\x07")
	round := registry.RoundRef{Programme: "p", Round: "1"}
	for name, c := range map[string]struct {
		key []byte
		ok  bool
	}{
		"a fact":          {registry.DIDFamily(did).Latest(), true},
		"a replaced fact": {registry.KeyFamily(did, "round").At(7), true},
		"a round":         {registry.RoundFamily(did, round).Latest(), true},
		"an anchor":       {registry.AnchorKey([32]byte([]byte(chosen))), false},
		"an anchor at":    {registry.AnchorKey([32]byte(at)), false},
		"a tag":           {registry.ClaimKey(did, round, [32]byte([]byte(chosen))), false},
		"a tag at":        {registry.ClaimKey(did, round, [32]byte(at)), false},
		"tree of a round": {registry.RoundTreeKey(did, round), false},
		"the header tree": {registry.HeaderRootKey(), false},
		"a member's name": {registry.SponsorKey("latest"), false},
		"a member's vote": {registry.VoteKey(1, "latest"), false},
		"a proposal":      {registry.ProposalFamily(1).At(7), true},
	} {
		if _, _, _, ok := familyOf(string(c.key)); ok != c.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
}
