package evidence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

func document(i int) (salt [32]byte, issued []byte) {
	binary.BigEndian.PutUint64(salt[:], uint64(i)+77)
	return salt, []byte(fmt.Sprint("deed number ", i))
}

func aggregation(t testing.TB, n int) *evidence.Aggregation {
	t.Helper()
	leaves := make([][32]byte, n)
	for i := range leaves {
		leaves[i] = evidence.AnchorLeaf(document(i))
	}
	a, err := evidence.Aggregate(leaves)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAggregation(t *testing.T) {
	for n := 1; n <= 70; n++ {
		a := aggregation(t, n)
		root := a.Root()
		for i := range n {
			salt, issued := document(i)
			r, err := a.Receipt(i, salt)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Root(issued); err != nil || got != root {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			var path [][]byte
			for j := range r.Path {
				path = append(path, r.Path[j][:])
			}
			l := evidence.AnchorLeaf(salt, issued)
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(n), rfc6962.DefaultHasher.HashLeaf(l[:]), path, root[:]); err != nil {
				t.Fatalf("leaf %d of %d is not RFC 6962: %v", i, n, err)
			}
			if got, err := r.Root(append(issued, '.')); err == nil && got == root {
				t.Fatal("another document has the same root")
			}
			longer := *r
			longer.Path = append(longer.Path, [32]byte{})
			if _, err := longer.Root(issued); !errors.Is(err, evidence.ErrReceipt) {
				t.Fatalf("a path too long: %v", err)
			}
			if n > 1 {
				shorter := *r
				shorter.Path = r.Path[1:]
				if _, err := shorter.Root(issued); !errors.Is(err, evidence.ErrReceipt) {
					t.Fatalf("a path too short: %v", err)
				}
			}
		}
	}
	if _, err := evidence.Aggregate(nil); !errors.Is(err, registry.ErrLimit) {
		t.Fatalf("no leaves: %v", err)
	}
	if _, err := aggregation(t, 3).Receipt(3, [32]byte{}); !errors.Is(err, registry.ErrNotFound) {
		t.Fatal("a receipt of nothing")
	}
}

// anchored is a chain with one anchor over 100 documents, and the receipt of document 42.
func anchored(t testing.TB) (*chaintest.Chain, *chaintest.Agency, *evidence.Receipt, []byte) {
	t.Helper()
	c := chaintest.New(t, chaintest.Config{Validators: 4})
	a := c.Agency("gaon")
	agg := aggregation(t, 100)
	c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.AnchorBody{Root: agg.Root()}}, a.Key("k1").As(a.DID.URL("k1"))))
	c.Block()
	a.Epoch() // from now on the header that dates the anchor stands in the header tree
	salt, issued := document(42)
	r, err := agg.Receipt(42, salt)
	if err != nil {
		t.Fatal(err)
	}
	r.Evidence = c.Evidence(chain.Query{Anchors: [][32]byte{agg.Root()}})
	return c, a, r, issued
}

func headOf(c *chaintest.Chain, height uint64) evidence.Head {
	h := c.Headers[height-1]
	return evidence.Head{Network: c.Genesis.Network, ChainID: c.Genesis.ChainID, Height: height, Hash: h.Hash(), Time: h.Time}
}

func TestReceipt(t *testing.T) {
	c, a, r, issued := anchored(t)
	head := headOf(c, c.Height())
	at := c.Headers[4-1].Time // created in block 2, anchored in 3, dated by header 4
	inTenYears := c.Now().Add(10 * 365 * 24 * time.Hour)
	good := func(t *testing.T, r *evidence.Receipt, head evidence.Head) {
		t.Helper()
		raw, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := evidence.ParseReceipt(raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Check(issued, head.Trust(), inTenYears)
		if err != nil {
			t.Fatal(err)
		}
		if got.By != a.DID || !got.At.Equal(at) || got.Height != 3 {
			t.Fatalf("%+v, want %v", got, at)
		}
	}
	t.Run("with the receipt and its own head, in ten years", func(t *testing.T) { good(t, r, head) })
	t.Run("with a later published head and a bridge", func(t *testing.T) {
		for range 3 {
			a.Epoch()
			c.Block()
		}
		bridged := *r
		bridged.Bridge = c.Evidence(chain.Query{Heights: []uint64{head.Height}})
		good(t, &bridged, headOf(c, c.Height()))
		foreign := bridged
		foreign.Bridge = c.Evidence(chain.Query{Heights: []uint64{head.Height - 1}})
		if _, err := foreign.Check(issued, headOf(c, c.Height()).Trust(), inTenYears); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("a bridge to another header: %v", err)
		}
		if _, err := r.Check(issued, headOf(c, c.Height()).Trust(), inTenYears); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("a later head without a bridge: %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		if _, err := r.Check([]byte("deed number 43"), head.Trust(), inTenYears); !errors.Is(err, registry.ErrUnavailable) && !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("another document: %v", err)
		}
		forged := head
		forged.Hash[0] ^= 1
		if _, err := r.Check(issued, forged.Trust(), inTenYears); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("another head: %v", err)
		}
		raw, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(raw); i += 7 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1
			p, err := evidence.ParseReceipt(bad)
			if err != nil {
				continue
			}
			if got, err := p.Check(issued, head.Trust(), inTenYears); err == nil && !got.At.Equal(at) {
				t.Fatalf("byte %d changed: %+v", i, got)
			}
		}
	})
}

func TestHead(t *testing.T) {
	c, _, _, _ := anchored(t)
	h := headOf(c, 3)
	raw, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := evidence.ParseHead(raw)
	if err != nil || back.Digest() != h.Digest() {
		t.Fatalf("%+v %v", back, err)
	}
	for _, bad := range []string{`{}`, strings.Replace(string(raw), "dojang-head/1", "dojang-head/2", 1), strings.Replace(string(raw), `"height": 3`, `"height": 0`, 1),
		strings.Replace(string(raw), "{", `{"more": 1,`, 1)} {
		if _, err := evidence.ParseHead([]byte(bad)); !errors.Is(err, registry.ErrMalformed) {
			t.Fatalf("%s: %v", bad, err)
		}
	}
	hash := h.Hash
	for language, word := range map[string]string{"ko": "공고", "en": "published head"} {
		text, err := h.Notice(language)
		if err != nil || !strings.Contains(text, word) || !strings.Contains(text, fmt.Sprintf("%x", hash[:2])) || !strings.Contains(text, " 3\n") {
			t.Fatalf("%s: %v\n%s", language, err, text)
		}
	}
	if _, err := h.Notice("fr"); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func FuzzParseReceipt(f *testing.F) {
	_, _, r, issued := anchored(f)
	raw, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := evidence.ParseReceipt(raw)
		if err != nil {
			return
		}
		if again, err := r.Marshal(); err != nil || !bytes.Equal(again, raw) {
			t.Fatal("not canonical")
		}
		_, _ = r.Root(issued)
	})
}

func FuzzBridge(f *testing.F) {
	c, _, _, _ := anchored(f)
	proof := c.Evidence(chain.Query{Raw: [][]byte{registry.HeaderRootKey()}})
	point, path, err := c.Machine.HeaderPath(3, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(evidence.EncodePoints(point, path))
	head := headOf(c, c.Height())
	f.Fuzz(func(t *testing.T, points []byte) {
		bridge, err := evidence.Bridge(proof, points)
		if err != nil {
			return
		}
		facts, err := evidence.Check(bridge, head.Trust(), c.Now())
		if err != nil {
			return
		}
		for _, h := range facts.Headers() {
			if h.Hash != c.Headers[h.Height-1].Hash() {
				t.Fatalf("another header of height %d", h.Height)
			}
		}
	})
}
