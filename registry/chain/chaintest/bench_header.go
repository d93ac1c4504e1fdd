package chaintest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// headerLoops checks headers of so many validators, each with one fact of a small state: from bytes to trusted.
func headerLoops(validators int, cached bool) (*bench.Loops, error) {
	const distinct = 256
	s := &stopper{}
	defer s.close()
	var all [distinct][]byte
	var heads [distinct]evidence.Header
	var votes [distinct][]ed25519Vote
	var trust evidence.Trust
	var now time.Time
	if err := s.run(func() {
		c := New(s, Config{Validators: validators})
		a := c.Agency("agency")
		c.Block()
		c.Agency("another") // the header that dates the first is in the header tree now
		for i := range all {
			all[i] = c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: AssertionID}}})
			heads[i] = c.Headers[len(c.Headers)-1]
			votes[i] = c.neededVotes(c.Sign(heads[i]))
		}
		trust, now = c.Trust(), c.Now()
	}); err != nil {
		return nil, err
	}
	checker := evidence.Checker{Trust: trust}
	floor := func(i int) error { return verifyVotes(votes[i%distinct]) }
	if cached {
		known := new(evidence.Headers)
		for i := range heads {
			known.Add(heads[i].Height, heads[i].Hash())
		}
		checker.Headers = known
		floor = func(i int) error {
			if heads[i%distinct].Hash() == ([32]byte{}) {
				return errors.New("no hash")
			}
			return nil
		}
	}
	return &bench.Loops{
		Op: func(i int) error {
			_, err := checker.Check(all[i%distinct], now)
			return err
		},
		Floor: floor,
		Corrupt: func(round int) error {
			bad := slices.Clone(all[round])
			bad[bytes.Index(bad, heads[round].AppHash)] ^= 1
			if _, err := checker.Check(bad, now); err == nil {
				return errors.New("a changed header was accepted")
			}
			return nil
		},
		Extra: map[string]float64{"bytes": float64(len(all[0])), "signatures": float64(len(votes[0]))},
	}, nil
}

// sizeLoops checks Evidence of three keys with the holder's chunk out of a list of 10,000,000 entries, header known; the
// figures that count are its bytes, with the chunk and without. The floor hashes them.
func sizeLoops() (*bench.Loops, error) {
	const entries, count = 10_000_000, 256
	values, err := statuslist.NewValues(2, make([]byte, entries/4))
	if err != nil {
		return nil, err
	}
	records := map[registry.DID][]byte{}
	s := &stopper{}
	staples, err := NewStaples(StaplesConfig{Count: count, Leaves: 100_000, Validators: 4, Epoch: func(a *Agency) {
		record, err := statuslist.Record{URI: "https://status.dojang.example/" + a.DID.ID() + "/1", Bits: 2, Length: entries, Root: values.Root(),
			Tokens: statuslist.TokenDigests{JWT: sha256.Sum256([]byte(a.Name))}}.Marshal()
		if err != nil {
			s.Fatal(err)
		}
		records[a.DID] = record
		epoch := a.EpochOperation()
		epoch.Body.(*registry.EpochBody).Root = statuslist.EpochRoot([][]byte{record})
		a.c.Must(a.c.Op(epoch, a.Key(AssertionID).As(a.DID.URL(AssertionID))))
		a.Took(epoch)
	}})
	if err != nil {
		return nil, err
	}
	bare := len(staples[0].Evidence)
	for i := range staples {
		record := records[staples[i].DID]
		chunk, err := values.CutChunk(uint64(i * entries / count))
		if err != nil {
			return nil, err
		}
		path, err := statuslist.ProveRecord([][]byte{record}, 0)
		if err != nil {
			return nil, err
		}
		if staples[i].Evidence, err = evidence.Attach(staples[i].Evidence, evidence.Status{Record: record, Size: 1, Path: path, Chunk: chunk}); err != nil {
			return nil, err
		}
	}
	checker := evidence.Checker{Trust: staples[0].Trust, Headers: new(evidence.Headers)}
	check := func(raw []byte) error {
		f, err := checker.Check(raw, staples[0].Now)
		if err == nil && f.Status() == nil {
			err = fmt.Errorf("chaintest: no chunk")
		}
		return err
	}
	return &bench.Loops{
		Op: func(i int) error { return check(staples[i%count].Evidence) },
		Floor: func(i int) error {
			if sha256.Sum256(staples[i%count].Evidence) == ([32]byte{}) {
				return errors.New("no hash")
			}
			return nil
		},
		Corrupt: func(round int) error {
			bad := slices.Clone(staples[round].Evidence)
			bad[len(bad)/4] ^= 1
			if check(bad) == nil {
				return errors.New("changed Evidence accepted")
			}
			return nil
		},
		Extra: map[string]float64{"bytes": float64(bare), "bytes_limit": 8 << 10, "bytes_with_chunk": float64(len(staples[0].Evidence))},
	}, nil
}
