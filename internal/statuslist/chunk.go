package statuslist

import (
	"bytes"
	"crypto/sha256"
)

// ChunkSize is the size of a Merkle leaf over the uncompressed values, bytes.
const ChunkSize = 1024

const (
	chunkVersion = 1
	maxPath      = 32 // hashes; MaxLength entries of 8 bits need 17
)

type chunkCBOR struct {
	V     uint64 `cbor:"v"`
	N     uint64 `cbor:"n"`
	Chunk []byte `cbor:"chunk"`
	Path  []byte `cbor:"path"`
}

// Root is the RFC 6962 root over the chunks of the values.
func (v Values) Root() [32]byte { return v.tree().root() }

func (v Values) tree() *tree {
	leaves := make([][32]byte, chunks(len(v.raw)))
	for n := range leaves {
		leaves[n] = leafHash(v.chunk(n))
	}
	return newTree(leaves)
}

func (v Values) chunk(n int) []byte {
	return v.raw[n*ChunkSize : min((n+1)*ChunkSize, len(v.raw))]
}

func chunks(rawLen int) int { return (rawLen + ChunkSize - 1) / ChunkSize }

// CutChunk is the encoded chunk proof for idx, out of the whole list (format: package doc, "Chunk proof").
// Errors: ErrIndex.
func (v Values) CutChunk(idx uint64) ([]byte, error) {
	if idx >= v.Len() {
		return nil, ErrIndex
	}
	n := (idx >> v.log) / ChunkSize
	path, err := v.tree().path(n)
	if err != nil {
		return nil, err
	}
	return encodeCBOR(chunkCBOR{V: chunkVersion, N: n, Chunk: v.chunk(int(n)), Path: bytes.Join(path, nil)})
}

// VerifyChunk answers for idx from a chunk proof and a record that VerifyRecord placed in an epoch.
// Errors: ErrIndex, ErrProof, ErrMalformed, ErrLimit.
func VerifyChunk(r Record, chunkProof []byte, idx uint64) (Status, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	if idx >= r.Length {
		return 0, ErrIndex
	}
	if len(chunkProof) > ChunkSize+maxPath*sha256.Size+64 {
		return 0, ErrLimit
	}
	var p chunkCBOR
	if err := decodeCBOR(chunkProof, &p); err != nil {
		return 0, err
	}
	if p.V != chunkVersion || len(p.Path)%sha256.Size != 0 {
		return 0, ErrMalformed
	}
	// Number and size of the chunk follow from the record: a proof cannot choose which bytes answer for idx.
	rawLen := int(r.Length * uint64(r.Bits) / 8)
	at := int(idx * uint64(r.Bits) / 8)
	n := at / ChunkSize
	if p.N != uint64(n) || len(p.Chunk) != min(ChunkSize, rawLen-n*ChunkSize) {
		return 0, ErrProof
	}
	path := make([][]byte, 0, len(p.Path)/sha256.Size)
	for rest := p.Path; len(rest) > 0; rest = rest[sha256.Size:] {
		path = append(path, rest[:sha256.Size])
	}
	if err := inTree(r.Root, p.Chunk, p.N, uint64(chunks(rawLen)), path); err != nil {
		return 0, err
	}
	v, err := NewValues(r.Bits, p.Chunk)
	if err != nil {
		return 0, err
	}
	return v.Status(idx - uint64(n*ChunkSize)<<v.log)
}
