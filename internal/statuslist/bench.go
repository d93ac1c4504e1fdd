package statuslist

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/keys"
)

const benchURI = "https://status.dojang.example/zQm2VxKqJ9bP4nT7/3"

var benchTime = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// BenchCases are the rows status/decode, status/lookup and status/publish-one (PERFORMANCE 4 row 8), and how they grow.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "status/decode", New: func() (*bench.Loops, error) { return benchDecode(1_000_000, 8) }, Allocs: bench.AtMost(42)},
		{Name: "status/decode/10m", New: func() (*bench.Loops, error) { return benchDecode(10_000_000, 2) }, Full: true},
		{Name: "status/lookup", New: func() (*bench.Loops, error) { return benchLookup(10_000_000) }, Allocs: bench.AtMost(0)},
		{Name: "status/publish-one", New: func() (*bench.Loops, error) { return benchPublish(10_000_000) }, Allocs: bench.AtMost(56)},
		bench.Scaling{Name: "scaling/status-decode", Sizes: []int{100_000, 1_000_000}, Full: []int{10_000_000}, Exponent: 1.1,
			New: func(n int) (*bench.Loops, error) { return benchDecode(uint64(n), 2) }}.Case(),
		bench.Scaling{Name: "scaling/status-lookup", Sizes: []int{10_000, 1_000_000, 10_000_000}, Exponent: bench.Growth(3, 1e3),
			New: func(n int) (*bench.Loops, error) { return benchLookup(uint64(n)) }}.Case(),
		bench.Scaling{Name: "scaling/status-publish", Sizes: []int{1_000_000, 10_000_000}, Exponent: 0.75,
			New: func(n int) (*bench.Loops, error) { return benchPublish(uint64(n)) }}.Case(),
	}
}

// benchValues is a list of 2 bits, 1 % revoked.
func benchValues(length, seed uint64) (Values, error) {
	l, err := NewList(2, length)
	if err != nil {
		return Values{}, err
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for range length / 100 {
		if err := l.Set(r.Uint64N(length), Revoked); err != nil {
			return Values{}, err
		}
	}
	return l.Values(), nil
}

// benchDecode is JWT parse, base64 and inflate of a token, no signature; the floor inflates the same bytes. Each of 256
// tokens is its own; the lists behind them are few, for they take 250 KB each.
func benchDecode(length uint64, lists int) (*bench.Loops, error) {
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	const tokens = 256
	signed, compressed := make([][]byte, tokens), make([][]byte, lists)
	for i := range lists {
		v, err := benchValues(length, uint64(i))
		if err != nil {
			return nil, err
		}
		if compressed[i], err = Deflate(v.Raw()); err != nil {
			return nil, err
		}
	}
	for i := range tokens {
		if signed[i], err = SignJWT(signer, keys.Header{Kid: "did:dojang:kr:x#k1"}, Claims{
			URI: benchURI, IssuedAt: benchTime.Add(time.Duration(i) * time.Second), ExpiresAt: benchTime.Add(24 * time.Hour),
			TTL: 5 * time.Minute, Bits: 2, Compressed: compressed[i%lists],
		}); err != nil {
			return nil, err
		}
	}
	decode := func(token []byte, verify bool) error {
		u, err := ParseJWT(token, Limits{})
		if err != nil {
			return err
		}
		if !verify {
			u.verify = func(*keys.PublicKey) ([]byte, error) { return payloadOf(token) }
		}
		t, err := u.Verify(signer.Public(), Expect{URI: benchURI, Now: benchTime.Add(time.Hour)})
		if err != nil {
			return err
		}
		if t.Values.Len() != length {
			return fmt.Errorf("%d entries", t.Values.Len())
		}
		return nil
	}
	return &bench.Loops{
		Op: func(i int) error { return decode(signed[i%tokens], false) },
		Floor: func(i int) error {
			r, err := zlib.NewReader(bytes.NewReader(compressed[i%lists]))
			if err != nil {
				return err
			}
			out := make([]byte, length/4)
			_, err = io.ReadFull(r, out)
			return err
		},
		Corrupt: func(round int) error {
			token := bytes.Clone(signed[round])
			token[len(token)/2+round] ^= 1
			if decode(token, true) == nil {
				return errors.New("a changed token verifies")
			}
			return nil
		},
	}, nil
}

// payloadOf decodes the payload a second time, as the signature check would hand it over: the op pays for it.
func payloadOf(token []byte) ([]byte, error) {
	first := bytes.IndexByte(token, '.')
	last := bytes.LastIndexByte(token, '.')
	return base64.RawURLEncoding.AppendDecode(nil, token[first+1:last])
}

// benchLookup is a cached check: URI to list, index to status, no allocation; the floor reads the same value from the bare
// bytes.
func benchLookup(length uint64) (*bench.Loops, error) {
	c, err := NewCache(CacheConfig{Load: func(context.Context, string) (Entry, error) { return Entry{}, ErrUnavailable }})
	if err != nil {
		return nil, err
	}
	v, err := benchValues(length, 1)
	if err != nil {
		return nil, err
	}
	uris := make([]string, 256)
	for i := range uris {
		uris[i] = fmt.Sprintf("https://status.dojang.example/zQm2VxKqJ9bP4nT%d/%d", i%16, i)
		token := &Token{URI: uris[i], IssuedAt: benchTime, ExpiresAt: benchTime.Add(time.Hour), Values: v}
		if err := c.Put(Entry{Token: token, Sequence: 1, AsOf: benchTime}); err != nil {
			return nil, err
		}
	}
	// Indices are drawn beforehand: 64 Ki of them, spread over the whole list.
	indices := make([]uint64, 1<<16)
	r := rand.New(rand.NewPCG(2, 3))
	for i := range indices {
		indices[i] = r.Uint64N(length)
	}
	raw := v.Raw()
	const lookups = 1 << 10 // an op: one look-up alone would measure the loop
	return &bench.Loops{
		Op: func(i int) error {
			for k := range lookups {
				n := i*lookups + k
				e, ok := c.Lookup(uris[n&255])
				if !ok {
					return ErrUnavailable
				}
				if _, err := e.Token.Status(indices[n&(1<<16-1)]); err != nil {
					return err
				}
			}
			return nil
		},
		Corrupt: func(int) error {
			e, _ := c.Lookup(uris[0])
			if _, err := e.Token.Status(length); !errors.Is(err, ErrIndex) {
				return errors.New("an index outside of the list was answered")
			}
			return nil
		},
		Floor: func(i int) error {
			index := indices[i&(1<<16-1)]
			if raw[index/4]>>(index%4*2)&3 == 3 {
				return ErrMalformed
			}
			return nil
		},
		Per: lookups,
	}, nil
}

// benchPublish flips one entry and makes the new list and root; signing it is the signer's cost. The floor compresses the one
// block that changed and hashes its chunk and the chunk's path.
func benchPublish(length uint64) (*bench.Loops, error) {
	v, err := benchValues(length, 1)
	if err != nil {
		return nil, err
	}
	p, err := NewPublisher(v)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(7, 7))
	floor, err := benchPublishFloor(v)
	if err != nil {
		return nil, err
	}
	return &bench.Loops{
		Floor: floor,
		Op: func(i int) error {
			if err := p.Set(r.Uint64N(length), Status(i&1)); err != nil {
				return err
			}
			s, err := p.Snapshot()
			if err == nil && len(s.Compressed) == 0 {
				err = ErrMalformed
			}
			return err
		},
		Corrupt: func(int) error {
			s, err := p.Snapshot()
			if err != nil {
				return err
			}
			raw, err := Inflate(s.Compressed, Limits{})
			if err != nil || !bytes.Equal(raw, p.Values().Raw()) {
				return fmt.Errorf("the published list is another: %w", err)
			}
			s.Compressed[len(s.Compressed)-1] ^= 1 // of the checksum; a bit of deflate's padding would change nothing
			if _, err := Inflate(s.Compressed, Limits{}); err == nil {
				return errors.New("a changed list passes")
			}
			return nil
		},
	}, nil
}

func benchPublishFloor(v Values) (func(int) error, error) {
	deflate, err := flate.NewWriter(nil, deflateLevel)
	if err != nil {
		return nil, err
	}
	raw := v.Raw()
	blocks := max(len(raw)/blockSize, 1)
	var out bytes.Buffer
	return func(i int) error {
		from := i % blocks * blockSize
		block := raw[from:min(from+blockSize, len(raw))]
		out.Reset()
		deflate.Reset(&out)
		if _, err := deflate.Write(block); err != nil {
			return err
		}
		sum := sha256.Sum256(block[:min(len(block), ChunkSize)])
		for n := len(raw) / ChunkSize; n > 0; n /= 2 {
			sum = sha256.Sum256(append(sum[:], sum[:]...))
		}
		if sum == ([32]byte{}) {
			return ErrMalformed
		}
		return deflate.Flush()
	}, nil
}
