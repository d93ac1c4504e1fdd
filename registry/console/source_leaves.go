package console

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/node"
)

// each calls f for leaves in key order until it returns false or an error.
func (s *ChainSource) each(from, to string, f func(key string, value []byte) (bool, error)) error {
	var fault error
	err := s.cfg.Range([]byte(from), []byte(to), func(k, v []byte) bool {
		more, err := f(string(k), v)
		fault = err
		return more && err == nil
	})
	if errors.Is(err, node.ErrDown) || errors.Is(err, registry.ErrNotFound) { // not running, or nothing committed yet
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return errors.Join(err, fault)
}

// get one leaf. Error: registry.ErrNotFound.
func (s *ChainSource) get(key []byte) ([]byte, error) {
	var out []byte
	err := s.each(string(key), string(key)+"\x00", func(_ string, v []byte) (bool, error) {
		out = append([]byte{}, v...)
		return false, nil
	})
	if err == nil && out == nil {
		err = registry.ErrNotFound
	}
	return out, err
}

func plain[T any](s *ChainSource, key []byte) (T, error) {
	var fact T
	raw, err := s.get(key)
	if err == nil {
		err = registry.Decode(raw, &fact)
	}
	return fact, err
}

func latest[T any](s *ChainSource, f registry.Family) (T, registry.Leaf, error) {
	raw, err := s.get(f.Latest())
	if err != nil {
		var none T
		return none, registry.Leaf{}, err
	}
	return decodeLeaf[T](raw)
}

func decodeLeaf[T any](raw []byte) (T, registry.Leaf, error) {
	var fact T
	var leaf registry.Leaf
	err := registry.Decode(raw, &leaf)
	if err == nil {
		err = registry.Decode(leaf.Fact, &fact)
	}
	return fact, leaf, err
}

// cutLatest is what stands between a prefix and "/latest"; false for replaced facts.
func cutLatest(key, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/latest")
}

func (s *ChainSource) did(id string) registry.DID {
	return registry.DID("did:dojang:" + s.cfg.Network + ":" + id)
}

// nextID is the first DID behind a place in the order of ids: "" is the beginning.
func (s *ChainSource) nextID(after string) (id string, err error) {
	from := "d/"
	if after != "" {
		from += after + "0" // '0' follows '/'
	}
	err = s.each(from, "d0", func(key string, _ []byte) (bool, error) {
		id, _, _ = strings.Cut(key[len("d/"):], "/")
		return false, nil
	})
	return id, err
}

// maxWalk bounds the DIDs that one page of accreditations or registrations looks at: a page may be short, never slow.
const maxWalk = 1000

// walk lists the newest facts of one family over all DIDs, from a place on. Places: pages.go.
func walk[T any](s *ChainSource, family string, p Page, read func(d registry.DID, name string, value []byte) (T, error)) (List[T], error) {
	var out List[T]
	id, rest, inside := strings.Cut(p.After, "/")
	var err error
	if !inside {
		if id, err = s.nextID(p.After); err != nil {
			return out, err
		}
	}
	last := p.After
	for range maxWalk {
		if id == "" {
			return out, nil
		}
		prefix := "d/" + id + "/" + family + "/"
		from := prefix
		if rest != "" {
			from, rest = prefix+rest+"/latest\x00", ""
		}
		full := false
		err := s.each(from, prefix[:len(prefix)-1]+"0", func(key string, value []byte) (bool, error) {
			name, ok := cutLatest(key, prefix)
			if !ok {
				return true, nil
			}
			if full = len(out.Items) == p.Limit; full {
				return false, nil
			}
			item, err := read(s.did(id), name, value)
			out.Items, last = append(out.Items, item), id+"/"+name
			return true, err
		})
		if err != nil {
			return out, err
		}
		if full {
			out.Next = last
			return out, nil
		}
		last = id
		if id, err = s.nextID(id); err != nil {
			return out, err
		}
	}
	if id != "" {
		out.Next = last
	}
	return out, nil
}

// moment dates a height by the header after it, whether its block is still here or not.
func (s *ChainSource) moment(height uint64) Moment {
	if height == 0 {
		return Moment{}
	}
	m := Moment{Height: height}
	if _, t, err := s.cfg.Header(height + 1); err == nil {
		m.Time = t
	}
	return m
}

// header of a height. Errors: registry.ErrNotFound (pruned, or not yet), registry.ErrUnavailable.
func (s *ChainSource) header(height uint64) (headed, error) {
	s.mu.Lock()
	h, ok := s.headers[height]
	s.mu.Unlock()
	if ok {
		return h, nil
	}
	signed, set, err := s.cfg.SignedHeader(height)
	switch {
	case errors.Is(err, node.ErrTooHigh):
		return headed{}, registry.ErrNotFound
	case errors.Is(err, node.ErrDown):
		return headed{}, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	case err != nil:
		return headed{}, err
	}
	h = headed{Header: signed.Header, hash: signed.Header.Hash(), set: set}
	for _, v := range signed.Commit.Votes {
		if v.Index < len(set) {
			h.signed = append(h.signed, v.Index)
		}
	}
	if height < s.cfg.Health().Height { // the votes for the newest one may still grow
		s.mu.Lock()
		if len(s.headers) >= headersKept {
			clear(s.headers)
		}
		s.headers[height] = h
		s.mu.Unlock()
	}
	return h, nil
}

// address of a validator, as the engine writes it: the beginning of the hash of its key, in capitals.
func address(v evidence.Validator) string {
	digest := sha256.Sum256(v.PublicKey[:])
	return hexUpper(digest[:20])
}

func hexUpper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// name of a validator, or its address.
func (s *ChainSource) name(address string) string {
	if n := s.names[address]; n != "" {
		return n
	}
	return address
}

// versions calls f for the facts of a family, oldest first: at/… sorts before latest.
func versions[T any](s *ChainSource, family registry.Family, f func(fact T, leaf registry.Leaf)) error {
	return s.each(string(family), string(family[:len(family)-1])+"0", func(key string, value []byte) (bool, error) {
		if !family.Has([]byte(key)) {
			return true, nil
		}
		fact, leaf, err := decodeLeaf[T](value)
		if err == nil {
			f(fact, leaf)
		}
		return true, err
	})
}

// factAt is the fact of a family that held when a block began: the one written below that height. Height 0: the newest.
func factAt[T any](s *ChainSource, family registry.Family, height uint64) (out *T, err error) {
	err = versions(s, family, func(fact T, leaf registry.Leaf) {
		if height == 0 || leaf.Since < height {
			out = &fact
		}
	})
	return out, err
}
