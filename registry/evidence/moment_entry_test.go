package evidence_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// entryList is a list in which one entry has a status, with its record.
func entryList(t *testing.T, d registry.DID, s statuslist.Status) (statuslist.Values, []byte) {
	t.Helper()
	values, err := statuslist.NewValues(2, make([]byte, 25_000))
	if err != nil {
		t.Fatal(err)
	}
	p, err := statuslist.NewPublisher(values)
	if err == nil {
		err = p.Set(4712, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	snap, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	record, err := statuslist.Record{URI: "http://localhost:8090/" + d.ID() + "/1", Bits: snap.Bits, Length: snap.Length, Root: snap.Root,
		Tokens: statuslist.TokenDigests{JWT: sha256.Sum256([]byte{byte(s)})}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return p.Values(), record
}

// Whoever kept an entry of a status list, as wallets and receipts do, proves years later what it was at T: the kept part hashes
// to the epoch that stood then, and to no other.
func TestStatusEntryAtAMoment(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Validators: 4, Machine: chain.Config{KeepVersions: 1}})
	c.Step = time.Hour
	a := c.Agency("gaon")
	var moments []time.Time
	var kept []evidence.Status
	for _, s := range []statuslist.Status{statuslist.Valid, statuslist.Suspended, statuslist.Revoked} {
		values, record := entryList(t, a.DID, s)
		op := a.EpochOperation()
		op.Body.(*registry.EpochBody).Root = statuslist.EpochRoot([][]byte{record})
		c.Must(c.Op(op, a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))))
		c.Block()
		c.Block()
		moments = append(moments, c.Headers[len(c.Headers)-1].Time)
		path, err := statuslist.ProveRecord([][]byte{record}, 0)
		if err != nil {
			t.Fatal(err)
		}
		chunk, err := values.CutChunk(4712)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, evidence.Status{Record: record, Size: 1, Path: path, Chunk: chunk})
	}
	for range 120 {
		c.Block()
	}
	c.Agency("customs")
	c.Block()
	for i, at := range moments {
		for j := range kept {
			raw, err := evidence.Attach(c.Evidence(chain.Query{Status: []registry.DID{a.DID}, At: at}), kept[j])
			if err != nil {
				t.Fatal(err)
			}
			f, err := evidence.Check(raw, headOf(c, c.Height()).Trust(), c.Now().AddDate(10, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			epoch, err := f.StatusEpochAt(a.DID, evidence.Moment{At: at})
			if err != nil || epoch.Sequence != uint64(i+1) {
				t.Fatalf("epoch at moment %d: %+v %v", i, epoch, err)
			}
			part := f.Status()
			record, err := statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: part.Record, Index: part.Index, Size: part.Size, Path: part.Path})
			if i != j {
				if !errors.Is(err, statuslist.ErrProof) {
					t.Fatalf("the entry of moment %d passes for moment %d: %v", j, i, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			want := []statuslist.Status{statuslist.Valid, statuslist.Suspended, statuslist.Revoked}[i]
			if got, err := statuslist.VerifyChunk(record, part.Chunk, 4712); err != nil || got != want {
				t.Fatalf("moment %d: %v %v, want %v", i, got, err, want)
			}
		}
	}
}
