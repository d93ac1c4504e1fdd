package statuslist

import (
	"bytes"
	"errors"
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

// checkSnapshot: what is published inflates to the values, and its root is theirs.
func checkSnapshot(t *testing.T, p *Publisher) {
	t.Helper()
	s, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	v := p.Values()
	raw, err := Inflate(s.Compressed, Limits{})
	if err != nil || !bytes.Equal(raw, v.Raw()) {
		t.Fatalf("inflates to %d other bytes, %v", len(raw), err)
	}
	if s.Root != v.Root() || s.Bits != v.Bits() || s.Length != v.Len() {
		t.Fatal("root, bits or length differ")
	}
}

func TestPublisher(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bits   int
		length uint64
	}{
		{"one byte", 1, 8}, {"less than a block", 2, 4096}, {"exactly a block", 8, blockSize},
		{"one byte more than a block", 8, blockSize + 1}, {"many blocks, ragged", 2, 4*5*blockSize + 4*777},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPublisher(random(t, tt.bits, tt.length, 50))
			if err != nil {
				t.Fatal(err)
			}
			checkSnapshot(t, p)
			r := rand.New(rand.NewPCG(3, 4))
			for range 20 {
				for range 1 + r.IntN(5) {
					idx := r.Uint64N(tt.length)
					s := Status(r.UintN(1 << tt.bits))
					if err := p.Set(idx, s); err != nil {
						t.Fatal(err)
					}
					if got, err := p.Get(idx); err != nil || got != s {
						t.Fatalf("[%d] = %v, %v", idx, got, err)
					}
				}
				checkSnapshot(t, p)
			}
			if err := p.Set(tt.length, Revoked); !errors.Is(err, ErrIndex) {
				t.Errorf("outside: %v", err)
			}
		})
	}
	if _, err := NewPublisher(Values{}); !errors.Is(err, ErrBits) {
		t.Errorf("empty: %v", err)
	}
}

func TestPublisherCopies(t *testing.T) {
	v := random(t, 2, 64, 4)
	p, err := NewPublisher(v)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(v.Raw())
	snapshot, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.Clone(snapshot.Compressed)
	for i := range uint64(64) {
		if err := p.Set(i, NeedsRenewal); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(v.Raw(), before) || !bytes.Equal(snapshot.Compressed, kept) {
		t.Error("a later change reached earlier values or an earlier snapshot")
	}
}

func TestCombineAdler(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		a, b := make([]byte, r.IntN(70000)), make([]byte, r.IntN(140000))
		for _, s := range [][]byte{a, b} {
			for i := range s {
				s[i] = byte(r.Uint32()) | 0xf0
			}
		}
		if got, want := combineAdler(adler32.Checksum(a), adler32.Checksum(b), len(b)), adler32.Checksum(append(a, b...)); got != want {
			t.Fatalf("%d + %d bytes: %08x, want %08x", len(a), len(b), got, want)
		}
	}
}
