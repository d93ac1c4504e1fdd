package evidence

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A reader reads deterministic CBOR of a known shape in place: it allocates nothing, and takes nothing but shortest
// definite forms, so that one Evidence has one encoding. The first error stays.
type reader struct {
	b   []byte
	err error
}

const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
)

func (r *reader) fail() uint64 {
	r.err, r.b = registry.ErrMalformed, nil
	return 0
}

// head reads the argument of the next item, which must be of a major type.
func (r *reader) head(major byte) uint64 {
	if len(r.b) == 0 || r.b[0]&0xe0 != major {
		return r.fail()
	}
	info := r.b[0] & 0x1f
	if info < 24 {
		r.b = r.b[1:]
		return uint64(info)
	}
	n := 1 << (info & 3)
	if info > 27 || len(r.b) <= n {
		return r.fail()
	}
	var v uint64
	for _, c := range r.b[1 : 1+n] {
		v = v<<8 | uint64(c)
	}
	// Shortest form: the value must not fit into half the bytes.
	if v < 24 || (n > 1 && v < 1<<(4*n)) {
		return r.fail()
	}
	r.b = r.b[1+n:]
	return v
}

func (r *reader) uint() uint64 { return r.head(majorUint) }

// array reads the head of an array of low to high items.
func (r *reader) array(low, high int) int {
	n := r.head(majorArray)
	if n < uint64(low) || n > uint64(high) {
		return int(r.fail())
	}
	return int(n)
}

func (r *reader) bytes(low, high int) []byte { return r.string(majorBytes, low, high) }

// sized reads bytes that are either absent (empty) or of a size.
func (r *reader) sized(n int) []byte {
	b := r.bytes(0, n)
	if len(b) != 0 && len(b) != n {
		r.fail()
		return nil
	}
	return b
}

func (r *reader) hash() (h hash) {
	copy(h[:], r.bytes(len(h), len(h)))
	return h
}

func (r *reader) text(high int) string { return string(r.string(majorText, 1, high)) }

func (r *reader) string(major byte, low, high int) []byte {
	n := r.head(major)
	if n < uint64(low) || n > uint64(high) || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) time() time.Time {
	r.array(2, 2)
	s, n := r.uint(), r.uint()
	if s > math.MaxInt32*64 || n >= 1e9 {
		r.fail()
	}
	if r.err != nil {
		return time.Time{}
	}
	return time.Unix(int64(s), int64(n)).UTC()
}

func appendHead(b []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(b, major|byte(v))
	case v <= math.MaxUint8:
		return append(b, major|24, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), v)
}

func putUint(b []byte, v uint64) []byte { return appendHead(b, majorUint, v) }
func putArray(b []byte, n int) []byte   { return appendHead(b, majorArray, uint64(n)) }
func putBytes(b []byte, v []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(v))), v...)
}
func putText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}
func putTime(b []byte, t time.Time) []byte {
	return putUint(putUint(putArray(b, 2), uint64(t.Unix())), uint64(t.Nanosecond()))
}

// The Evidence's parts; grammar in registry/README.md.

func (r *reader) header() (h Header) {
	r.array(15, 15)
	h.Block, h.App, h.ChainID, h.Height = r.uint(), r.uint(), r.text(64), r.uint()
	h.Time = r.time()
	h.LastBlock = r.blockID()
	for _, f := range []*[]byte{&h.LastCommit, &h.Data, &h.Validators, &h.NextValidators, &h.Consensus, &h.AppHash, &h.LastResults, &h.Evidence} {
		*f = r.sized(32)
	}
	h.Proposer = r.sized(20)
	if h.Height == 0 || h.Height > math.MaxInt64 || len(h.Validators) == 0 || len(h.AppHash) == 0 {
		r.fail()
	}
	return h
}

func (r *reader) blockID() (id BlockID) {
	r.array(3, 3)
	id.Hash, id.PartsTotal, id.PartsHash = r.sized(32), r.uint32(), r.sized(32)
	return id
}

func (r *reader) uint32() uint32 {
	v := r.uint()
	if v > math.MaxInt32 {
		v = r.fail()
	}
	return uint32(v)
}

func (r *reader) commit() (c Commit) {
	r.array(3, 3)
	c.Round = r.uint32()
	r.array(2, 2)
	c.PartsTotal, c.PartsHash = r.uint32(), r.sized(32)
	n := r.array(0, MaxValidators)
	if r.err != nil {
		return c
	}
	c.Votes = make([]Vote, 0, min(n, 16))
	for range n {
		r.array(3, 3)
		v := Vote{Index: int(r.uint32()), Time: r.time(), Signature: r.bytes(64, 64)}
		if k := len(c.Votes); v.Index >= MaxValidators || (k > 0 && v.Index <= c.Votes[k-1].Index) {
			r.fail()
		}
		if r.err != nil {
			return c
		}
		c.Votes = append(c.Votes, v)
	}
	return c
}

func (r *reader) validators() ValidatorSet {
	n := r.array(1, MaxValidators)
	if r.err != nil {
		return nil
	}
	s := make(ValidatorSet, 0, min(n, 16))
	for range n {
		r.array(2, 2)
		v := Validator{PublicKey: r.hash()}
		power := r.uint()
		if power > math.MaxInt64 {
			r.fail()
		}
		if r.err != nil {
			return nil
		}
		v.Power = int64(power)
		s = append(s, v)
	}
	return s
}

func (h *Header) put(b []byte) []byte {
	b = putUint(putUint(putArray(b, 15), h.Block), h.App)
	b = putTime(putUint(putText(b, h.ChainID), h.Height), h.Time)
	b = putBytes(putUint(putBytes(putArray(b, 3), h.LastBlock.Hash), uint64(h.LastBlock.PartsTotal)), h.LastBlock.PartsHash)
	for _, f := range [][]byte{h.LastCommit, h.Data, h.Validators, h.NextValidators, h.Consensus, h.AppHash, h.LastResults, h.Evidence, h.Proposer} {
		b = putBytes(b, f)
	}
	return b
}

func (c *Commit) put(b []byte) []byte {
	b = putUint(putArray(b, 3), uint64(c.Round))
	b = putBytes(putUint(putArray(b, 2), uint64(c.PartsTotal)), c.PartsHash)
	b = putArray(b, len(c.Votes))
	for _, v := range c.Votes {
		b = putBytes(putTime(putUint(putArray(b, 3), uint64(v.Index)), v.Time), v.Signature)
	}
	return b
}

func (s ValidatorSet) put(b []byte) []byte {
	b = putArray(b, len(s))
	for i := range s {
		b = putUint(putBytes(putArray(b, 2), s[i].PublicKey[:]), uint64(s[i].Power))
	}
	return b
}
