package evidence

// A Material is what Build needs. Headers are ascending; the last is the head, whose app hash proves the state.
type Material struct {
	ChainID string
	Headers []SignedHeader // with all votes for the block that there are; Build keeps what is needed
	Sets    []ValidatorSet // of those headers, as far as the reader may not know them; distinct
	Known   []ValidatorSet // of those headers, known to the reader: used to trim votes, not encoded
	State   StateProof
	// Points are the headers that State.Points asks for, in that order; nil where State.Dated has them.
	Points []Header
	Status *Status
}

// A StateProof is the part that the state machine makes (chain.Machine.Prove).
type StateProof struct {
	Version uint64     // height of the block whose state it is: the header of Version+1 proves it, and any later one with the same app hash
	Root    [32]byte   // app hash
	Tree    []byte     // pruned tree
	Points  []uint64   // heights of headers that date the facts and stand in the header tree, ascending
	Dated   []Point    // those headers, in that order; nil when the state machine does not have them
	Path    [][32]byte // header tree hashes for these points
	// Loose is the height of a header that dates facts and is not in the header tree yet; 0: none. Unless it is the
	// head itself, it is to be given in Headers before the head.
	Loose uint64
}

// Status carries raw formats of internal/statuslist.
type Status struct {
	Record []byte // list record
	Index  uint64 // its place in the epoch
	Size   uint64
	Path   [][]byte // 32 bytes each
	Chunk  []byte   // chunk proof; may be nil
	// Base is the same list under the epoch's base, when the operator signed the epoch; its Chunk is nil where both records have
	// the same root over the values. Only beside a Chunk.
	Base *Status
}
