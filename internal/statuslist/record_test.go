package statuslist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
)

func TestRecord(t *testing.T) {
	v := random(t, 2, 8192, 10)
	token := []byte("a token")
	r := Record{URI: listURI, Bits: 2, Length: v.Len(), Root: v.Root(), Tokens: TokenDigests{JWT: sha256.Sum256(token)}}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRecord(data)
	if err != nil || got != r {
		t.Fatalf("ParseRecord = %+v, %v", got, err)
	}
	if err := r.CheckToken(MediaTypeJWT, token); err != nil {
		t.Error(err)
	}
	if err := r.CheckToken(MediaTypeJWT, append(token, ' ')); !errors.Is(err, ErrProof) {
		t.Errorf("another token: %v", err)
	}
	if err := r.CheckToken(MediaTypeCWT, token); !errors.Is(err, ErrProof) {
		t.Errorf("a format that was not published: %v", err)
	}
	if err := r.CheckToken("text/plain", token); !errors.Is(err, ErrType) {
		t.Errorf("unknown media type: %v", err)
	}
	if err := r.CheckValues(v); err != nil {
		t.Error(err)
	}
	if err := r.CheckValues(random(t, 2, 8192, 11)); !errors.Is(err, ErrProof) {
		t.Errorf("other values: %v", err)
	}
	for i := range data {
		changed := bytes.Clone(data)
		changed[i] ^= 0x01
		if again, err := ParseRecord(changed); err == nil && again == r {
			t.Errorf("byte %d changed, same record", i)
		}
	}
	for name, bad := range map[string][]byte{
		"trailing": append(bytes.Clone(data), 0), "empty": {}, "long": make([]byte, 2000), "unknown member": append([]byte{data[0] + 1, 0x61, 'a', 0x01}, data[1:]...),
		"long form of a length": bytes.Replace(data, []byte{0x61, 'v', 0x01}, []byte{0x61, 'v', 0x18, 0x01}, 1),
		"another version":       bytes.Replace(data, []byte{0x61, 'v', 0x01}, []byte{0x61, 'v', 0x02}, 1),
	} {
		if _, err := ParseRecord(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, uri := range []string{"", "a b", "한", string(make([]byte, 3)), string(bytes.Repeat([]byte("x"), 513))} {
		if _, err := (Record{URI: uri, Bits: 2, Length: 64}).Marshal(); !errors.Is(err, ErrMalformed) {
			t.Errorf("URI of %d bytes: %v", len(uri), err)
		}
	}
}

// The encoding is part of the chain's formats: it may not change quietly.
func TestRecordEncoding(t *testing.T) {
	r := Record{URI: "https://s/1", Bits: 2, Length: 4, Tokens: TokenDigests{JWT: [32]byte{1}}}
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := "a6" + "6176" + "01" + "63757269" + "6b68747470733a2f2f732f31" + "6462697473" + "02" +
		"64726f6f74" + "5820" + fmt.Sprintf("%064x", 0) + "666c656e677468" + "04" +
		"66746f6b656e73" + "a1" + "636a7774" + "5820" + "01" + fmt.Sprintf("%062x", 0)
	if got := fmt.Sprintf("%x", data); got != want {
		t.Errorf("encoding\n got %s\nwant %s", got, want)
	}
}

func TestEpoch(t *testing.T) {
	if EpochRoot(nil) != sha256.Sum256(nil) {
		t.Error("no list: the root is not SHA-256 of nothing")
	}
	for n := 1; n <= 17; n++ {
		records := make([][]byte, n)
		for i := range records {
			data, err := Record{URI: fmt.Sprintf("%s%d", listURI, i), Bits: 2, Length: 64}.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			records[i] = data
		}
		root := EpochRoot(records)
		if root != naiveRoot(records) {
			t.Fatalf("%d records: another root than RFC 6962 gives", n)
		}
		for i, data := range records {
			path, err := ProveRecord(records, i)
			if err != nil {
				t.Fatal(err)
			}
			p := RecordProof{Record: data, Path: path, Index: uint64(i), Size: uint64(n)}
			if r, err := VerifyRecord(root, p); err != nil || r.URI != fmt.Sprintf("%s%d", listURI, i) {
				t.Fatalf("record %d of %d: %+v, %v", i, n, r, err)
			}
			for name, change := range map[string]func(*RecordProof){
				"other index":  func(p *RecordProof) { p.Index++ },
				"other size":   func(p *RecordProof) { p.Size *= 4 },
				"longer path":  func(p *RecordProof) { p.Path = append(bytes2(p.Path), make([]byte, 32)) },
				"other record": func(p *RecordProof) { p.Record = append(bytes.Clone(p.Record), 0) },
				"no tree":      func(p *RecordProof) { p.Size = 0 },
			} {
				q := p
				change(&q)
				if _, err := VerifyRecord(root, q); !errors.Is(err, ErrProof) {
					t.Errorf("record %d of %d, %s: %v", i, n, name, err)
				}
			}
			if _, err := VerifyRecord([32]byte{}, p); !errors.Is(err, ErrProof) {
				t.Errorf("other root: %v", err)
			}
		}
	}
	for _, i := range []int{-1, 1} {
		if _, err := ProveRecord([][]byte{{1}}, i); !errors.Is(err, ErrIndex) {
			t.Errorf("ProveRecord(%d): %v", i, err)
		}
	}
}

func bytes2(p [][]byte) [][]byte { return append([][]byte(nil), p...) }

// naiveRoot is RFC 6962 section 2.1 as it is written there.
func naiveRoot(leaves [][]byte) [32]byte {
	if len(leaves) == 1 {
		return [32]byte(rfc6962.DefaultHasher.HashLeaf(leaves[0]))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
	return [32]byte(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

func TestChunk(t *testing.T) {
	for _, tt := range []struct {
		bits   int
		length uint64
	}{{1, 8}, {2, 4096}, {2, 4100}, {1, 8192 * 3}, {4, 10000}, {8, 5000}} {
		t.Run(fmt.Sprintf("%d of %d bits", tt.length, tt.bits), func(t *testing.T) {
			v := random(t, tt.bits, tt.length, 3)
			r := Record{URI: listURI, Bits: tt.bits, Length: tt.length, Root: v.Root()}
			step := max(tt.length/97, 1)
			for idx := uint64(0); idx < tt.length; idx += step {
				want, err := v.Status(idx)
				if err != nil {
					t.Fatal(err)
				}
				proof, err := v.CutChunk(idx)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := VerifyChunk(r, proof, idx); err != nil || got != want {
					t.Fatalf("[%d] = %v, %v, want %v", idx, got, err, want)
				}
			}
			last := tt.length - 1
			proof, err := v.CutChunk(last)
			if err != nil {
				t.Fatal(err)
			}
			if s, err := VerifyChunk(r, proof, last); err != nil {
				t.Fatalf("last entry: %v, %v", s, err)
			}
			for i := range proof {
				changed := bytes.Clone(proof)
				changed[i] ^= 0x10
				if s, err := VerifyChunk(r, changed, last); !errors.Is(err, ErrInvalid) {
					t.Fatalf("byte %d changed: %v, %v", i, s, err)
				}
			}
			if _, err := VerifyChunk(r, proof, tt.length); !errors.Is(err, ErrIndex) {
				t.Errorf("C02 at the size of the list: %v", err)
			}
			if _, err := v.CutChunk(tt.length); !errors.Is(err, ErrIndex) {
				t.Errorf("cut outside: %v", err)
			}
			if tt.length*uint64(tt.bits)/8 > ChunkSize {
				if _, err := VerifyChunk(r, proof, 0); !errors.Is(err, ErrProof) {
					t.Errorf("another chunk answers for entry 0: %v", err)
				}
			}
			longer := r
			longer.Length *= 2
			if _, err := VerifyChunk(longer, proof, last); !errors.Is(err, ErrProof) {
				t.Errorf("record of a longer list: %v", err)
			}
			if tt.bits != 1 {
				narrower := r
				narrower.Bits, narrower.Length = 1, r.Length*uint64(tt.bits)
				if s, err := VerifyChunk(narrower, proof, narrower.Length-1); err != nil {
					t.Errorf("same bytes read as single bits: %v, %v", s, err) // the record decides about bits, and it is proven
				}
			}
		})
	}
}

func TestChunkSizeOfLargeList(t *testing.T) {
	l, err := NewList(2, 10_000_000)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := l.Values().CutChunk(9_999_999)
	if err != nil {
		t.Fatal(err)
	}
	first, err := l.Values().CutChunk(1)
	if err != nil {
		t.Fatal(err)
	}
	if n := max(len(proof), len(first)); n > 1740 {
		t.Errorf("chunk with path takes %d bytes, 1.7 KiB are allowed", n)
	}
}
