package statuslist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"sync"

	"github.com/klauspost/compress/flate"
)

// blockSize is what one changed entry costs to compress: 64 KiB of values.
const blockSize = 64 << 10

// A Publisher holds the values of one list and publishes changes at the cost of the changed blocks: every block is a
// deflate stream of its own up to a flush, without references back, so that the blocks' bytes can be joined; the
// checksum of zlib is combined from theirs. Safe for concurrent use.
type Publisher struct {
	mu         sync.Mutex // guards everything
	values     Values
	tree       *tree
	compressed [][]byte // by block
	adler      []uint32 // by block
	dirty      map[int]bool
	dirtyChunk map[uint64]bool
	deflate    *flate.Writer
}

// NewPublisher starts from values (a copy is made). Errors: ErrBits for an empty list.
func NewPublisher(v Values) (*Publisher, error) {
	if len(v.raw) == 0 {
		return nil, ErrBits
	}
	v.raw = bytes.Clone(v.raw)
	deflate, err := flate.NewWriter(nil, deflateLevel)
	if err != nil {
		return nil, fmt.Errorf("prepare deflate: %w", err)
	}
	blocks := (len(v.raw) + blockSize - 1) / blockSize
	p := &Publisher{
		values: v, tree: v.tree(), deflate: deflate,
		compressed: make([][]byte, blocks), adler: make([]uint32, blocks),
		dirty: make(map[int]bool), dirtyChunk: make(map[uint64]bool),
	}
	for n := range blocks {
		if err := p.compress(n); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Len is the number of entries.
func (p *Publisher) Len() uint64 { return p.values.Len() }

// Bits per entry.
func (p *Publisher) Bits() int { return p.values.Bits() }

// Set writes one entry. Errors: ErrIndex, ErrStatus. Whether the change is allowed is the issuer's state machine.
func (p *Publisher) Set(idx uint64, s Status) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.values.set(idx, s); err != nil {
		return err
	}
	at := idx >> p.values.log
	p.dirty[int(at/blockSize)] = true
	p.dirtyChunk[at/ChunkSize] = true
	return nil
}

// Get reads one entry, published or not.
func (p *Publisher) Get(idx uint64) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.values.Status(idx)
}

// Values copies the present state.
func (p *Publisher) Values() Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.values
	v.raw = bytes.Clone(v.raw)
	return v
}

// A Snapshot is a list at one moment: what a token and a record say about it.
type Snapshot struct {
	Bits       int
	Length     uint64
	Compressed []byte // zlib
	Root       [32]byte
}

// Snapshot compresses the blocks and hashes the chunks that changed since the last one.
func (p *Publisher) Snapshot() (Snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range p.dirty {
		if err := p.compress(n); err != nil {
			return Snapshot{}, err
		}
	}
	for n := range p.dirtyChunk {
		p.tree.update(n, leafHash(p.values.chunk(int(n))))
	}
	clear(p.dirty)
	clear(p.dirtyChunk)
	return Snapshot{Bits: p.values.Bits(), Length: p.values.Len(), Compressed: p.join(), Root: p.tree.root()}, nil
}

func (p *Publisher) block(n int) []byte {
	return p.values.raw[n*blockSize : min((n+1)*blockSize, len(p.values.raw))]
}

func (p *Publisher) compress(n int) error {
	block := p.block(n)
	out := bytes.NewBuffer(p.compressed[n][:0])
	p.deflate.Reset(out)
	if _, err := p.deflate.Write(block); err != nil {
		return fmt.Errorf("deflate block: %w", err)
	}
	if err := p.deflate.Flush(); err != nil { // ends on a byte, with an empty stored block
		return fmt.Errorf("deflate block: %w", err)
	}
	p.compressed[n], p.adler[n] = out.Bytes(), adler32.Checksum(block)
	return nil
}

// join is the zlib stream: header (window 32 KiB, check bits), the blocks, an empty final block, the checksum.
func (p *Publisher) join() []byte {
	size := 2 + 5 + 4
	for _, b := range p.compressed {
		size += len(b)
	}
	out := append(make([]byte, 0, size), 0x78, 0x9c)
	sum := uint32(1)
	for n, b := range p.compressed {
		out = append(out, b...)
		sum = combineAdler(sum, p.adler[n], len(p.block(n)))
	}
	out = append(out, 0x01, 0x00, 0x00, 0xff, 0xff)
	return binary.BigEndian.AppendUint32(out, sum)
}

// combineAdler is the Adler-32 (RFC 1950 section 8.2) of two strings joined, from theirs and the second's length.
func combineAdler(first, second uint32, secondLen int) uint32 {
	const mod = 65521
	n := uint32(secondLen % mod)
	a1, b1, a2, b2 := first&0xffff, first>>16, second&0xffff, second>>16
	a := (a1 + a2 + mod - 1) % mod
	b := (b1 + b2 + n*((a1+mod-1)%mod)%mod) % mod
	return b<<16 | a
}
