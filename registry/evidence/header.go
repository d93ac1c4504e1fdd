package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"
)

// A Header is a block header as the engine hashes it. Hashes are 32 bytes or empty; Proposer is 20 bytes.
type Header struct {
	Block, App     uint64 // protocol versions
	ChainID        string
	Height         uint64
	Time           time.Time
	LastBlock      BlockID
	LastCommit     []byte
	Data           []byte
	Validators     []byte
	NextValidators []byte
	Consensus      []byte
	AppHash        []byte
	LastResults    []byte
	Evidence       []byte // of validators' misdeeds: the engine's word
	Proposer       []byte
}

// A BlockID names a block: its header hash and its parts. The zero value is that before the first block.
type BlockID struct {
	Hash       []byte
	PartsTotal uint32
	PartsHash  []byte
}

// A Vote is one validator's precommit for the block; Index is its place in the validator set.
type Vote struct {
	Index     int
	Time      time.Time
	Signature []byte
}

// A Commit holds precommits for one block: only those for the block itself, none that are absent or nil. Ascending.
type Commit struct {
	Round      uint32
	PartsTotal uint32
	PartsHash  []byte
	Votes      []Vote
}

// A SignedHeader is a header with the votes for it.
type SignedHeader struct {
	Header Header
	Commit Commit
}

// A Validator has an Ed25519 key.
type Validator struct {
	PublicKey [32]byte
	Power     int64
}

// A ValidatorSet is in the engine's order.
type ValidatorSet []Validator

// The engine hashes a header as the Merkle root (RFC 6962, SHA-256) over its 14 fields, each as protobuf; scalar fields
// as the well-known wrapper messages, empty ones as nothing. Field order and encodings are cross-tested in registry/light.

type hash = [sha256.Size]byte

// A headerHash is the hash of a header with the three inner nodes from which, with height and time, it follows:
// fields 0-1, fields 4-7, fields 8-13.
type headerHash struct {
	hash           hash
	low, mid, high hash
}

// Hash is the header's hash, as in the engine.
func (h *Header) Hash() [32]byte {
	hh := h.hashes()
	return hh.hash
}

func (h *Header) hashes() (out headerHash) {
	var b [160]byte
	var id [128]byte
	f01 := inner(leaf(appendFields(b[:0], 1, h.Block, 2, h.App)), leaf(appendBytes(b[:0], 1, h.ChainID)))
	f4 := leaf(h.LastBlock.append(id[:0]))
	f45 := inner(f4, leaf(appendBytes(b[:0], 1, h.LastCommit)))
	f67 := inner(leaf(appendBytes(b[:0], 1, h.Data)), leaf(appendBytes(b[:0], 1, h.Validators)))
	f89 := inner(leaf(appendBytes(b[:0], 1, h.NextValidators)), leaf(appendBytes(b[:0], 1, h.Consensus)))
	f1011 := inner(leaf(appendBytes(b[:0], 1, h.AppHash)), leaf(appendBytes(b[:0], 1, h.LastResults)))
	f1213 := inner(leaf(appendBytes(b[:0], 1, h.Evidence)), leaf(appendBytes(b[:0], 1, h.Proposer)))
	out.low, out.mid, out.high = f01, inner(f45, f67), inner(inner(f89, f1011), f1213)
	out.hash = joinHeader(out.low, out.mid, out.high, h.Height, h.Time)
	return out
}

// A Point dates a height: Nodes are the three inner nodes from which, with height and time, the header's hash follows.
type Point struct {
	Height uint64
	Time   time.Time
	Nodes  [96]byte
}

// Point of the header.
func (h *Header) Point() Point {
	hh := h.hashes()
	p := Point{Height: h.Height, Time: h.Time}
	copy(p.Nodes[:], hh.low[:])
	copy(p.Nodes[32:], hh.mid[:])
	copy(p.Nodes[64:], hh.high[:])
	return p
}

// Hash of the header.
func (p Point) Hash() [32]byte {
	return joinHeader(hash(p.Nodes[:32]), hash(p.Nodes[32:64]), hash(p.Nodes[64:]), p.Height, p.Time)
}

// joinHeader is the header hash from height, time and the three nodes beside them.
func joinHeader(low, mid, high hash, height uint64, t time.Time) hash {
	var b [32]byte
	f23 := inner(leaf(appendFields(b[:0], 1, height, 0, 0)), leaf(appendTime(b[:0], t)))
	return inner(inner(inner(low, f23), mid), high)
}

// Hash is what a header has as validators hash.
func (s ValidatorSet) Hash() [32]byte {
	leaves := make([]hash, len(s))
	var b [64]byte
	for i := range s {
		leaves[i] = leaf(s[i].append(b[:0]))
	}
	return merkleRoot(leaves)
}

// append is SimpleValidator{pub_key: PublicKey{ed25519}, voting_power}.
func (v *Validator) append(b []byte) []byte {
	b = append(b, 0x0a, 34, 0x0a, 32)
	b = append(b, v.PublicKey[:]...)
	return appendFields(b, 2, uint64(v.Power), 0, 0)
}

// Power of the whole set. ok is false when it overflows or a validator has none.
func (s ValidatorSet) power() (total int64, ok bool) {
	const most = 1 << 60 // the engine's bound is 2^63/8
	for i := range s {
		if s[i].Power <= 0 || s[i].Power > most-total {
			return 0, false
		}
		total += s[i].Power
	}
	return total, len(s) > 0
}

// SignBytes is what the validators sign with a time of theirs: the engine's canonical precommit for the header.
func (c *Commit) SignBytes(h *Header, t time.Time) []byte { return c.signBytes(nil, h, h.Hash(), t) }

// signBytes is CanonicalVote{precommit, height, round, block id, time, chain id}, with its length in front.
func (c *Commit) signBytes(b []byte, h *Header, headerHash hash, t time.Time) []byte {
	var body [256]byte
	m := append(body[:0], 0x08, 0x02) // type: precommit
	m = appendFixed(m, 2, h.Height)
	m = appendFixed(m, 3, uint64(c.Round))
	id := BlockID{Hash: headerHash[:], PartsTotal: c.PartsTotal, PartsHash: c.PartsHash}
	var inner [128]byte
	m = appendBytes(m, 4, id.append(inner[:0]))
	var stamp [24]byte
	ts := appendTime(stamp[:0], t)
	m = append(m, 0x2a, byte(len(ts)))
	m = append(m, ts...)
	m = appendBytes(m, 6, h.ChainID)
	b = binary.AppendUvarint(b, uint64(len(m)))
	return append(b, m...)
}

// append is BlockID{hash, part_set_header{total, hash}}; the inner message is never left out.
func (id *BlockID) append(b []byte) []byte {
	var parts [64]byte
	p := appendFields(parts[:0], 1, uint64(id.PartsTotal), 0, 0)
	p = appendBytes(p, 2, id.PartsHash)
	b = appendBytes(b, 1, id.Hash)
	b = append(b, 0x12, byte(len(p)))
	return append(b, p...)
}

// appendFields writes one or two varint fields; zero values are left out, number 0 is none.
func appendFields(b []byte, n1 byte, v1 uint64, n2 byte, v2 uint64) []byte {
	if v1 != 0 {
		b = binary.AppendUvarint(append(b, n1<<3), v1)
	}
	if n2 != 0 && v2 != 0 {
		b = binary.AppendUvarint(append(b, n2<<3), v2)
	}
	return b
}

// appendFixed writes a sfixed64 field.
func appendFixed(b []byte, n byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.LittleEndian.AppendUint64(append(b, n<<3|1), v)
}

// appendBytes writes a bytes or string field; empty is left out.
func appendBytes[T ~string | ~[]byte](b []byte, n byte, v T) []byte {
	if len(v) == 0 {
		return b
	}
	b = binary.AppendUvarint(append(b, n<<3|2), uint64(len(v)))
	return append(b, v...)
}

// appendTime is google.protobuf.Timestamp.
func appendTime(b []byte, t time.Time) []byte {
	return appendFields(b, 1, uint64(t.Unix()), 2, uint64(t.Nanosecond()))
}

// leaf and inner are the hashes of RFC 6962 section 2.1.
func leaf(data []byte) hash {
	var b [256]byte
	return sha256.Sum256(append(append(b[:0], 0), data...))
}

func inner(l, r hash) hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

func merkleRoot(leaves []hash) hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := split(uint64(len(leaves)))
	return inner(merkleRoot(leaves[:k]), merkleRoot(leaves[k:]))
}

// split is the largest power of two below n > 1.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }
