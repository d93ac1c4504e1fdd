package statuslist

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/keys"
)

const benchURI = "https://status.dojang.example/zQm2VxKqJ9bP4nT7/3"

var benchTime = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// BenchCases are the rows status/decode, status/lookup and status/publish-one (PERFORMANCE 4 row 8).
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "status/decode", New: func() (*bench.Loops, error) { return benchDecode(1_000_000, 8) }},
		{Name: "status/decode-10m", New: func() (*bench.Loops, error) { return benchDecode(10_000_000, 2) }, Full: true},
		{Name: "status/lookup-10k", New: func() (*bench.Loops, error) { return benchLookup(10_000) }},
		{Name: "status/lookup", New: func() (*bench.Loops, error) { return benchLookup(10_000_000) }},
		{Name: "status/publish-one", New: func() (*bench.Loops, error) { return benchPublish(10_000_000) }},
		{Name: "status/publish-one-1m", New: func() (*bench.Loops, error) { return benchPublish(1_000_000) }, Full: true},
		{Name: "status/publish-one-full-encode", New: func() (*bench.Loops, error) { return benchFullEncode(10_000_000) }, Full: true},
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

// benchLookup is a cached check: URI to list, index to status, no allocation.
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
		Per: lookups,
	}, nil
}

// benchPublish flips one entry and makes the new list and root; signing it is the signer's cost.
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
	return &bench.Loops{
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

// benchFullEncode is what publish-one replaces: compress and hash everything.
func benchFullEncode(length uint64) (*bench.Loops, error) {
	v, err := benchValues(length, 1)
	if err != nil {
		return nil, err
	}
	return &bench.Loops{Op: func(int) error {
		if _, err := Deflate(v.Raw()); err != nil {
			return err
		}
		if v.Root() == [32]byte{} {
			return ErrMalformed
		}
		return nil
	}}, nil
}
